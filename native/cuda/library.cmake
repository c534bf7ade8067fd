# The CUDA backend for GPUs, where the toolkit's compiler is. Building takes the toolkit, not a GPU.
#   powerinfer_cuda        the plugin library
#   powerinfer_cuda_test   the tests that the simulator runs too, for a machine with a GPU: nvcc/powerinfer_cuda_test
# Not CMake's own CUDA: to look into the compiler takes it seconds at every first configuration, of those too who want libpowerinfer alone.

# Kernels are in .cu files. What has none is C++, which the host's compiler reads once and nvcc would for every architecture.
file(GLOB cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu
  ${CMAKE_CURRENT_SOURCE_DIR}/cuda/kernels/*.cu)
# What its tests share with those of libpowerinfer.
set(cuda_test_support ${CMAKE_CURRENT_SOURCE_DIR}/test/main.cc ${CMAKE_CURRENT_SOURCE_DIR}/test/tiny_model.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/test/forward_oracle.cc)
# What the device shares with libpowerinfer.
set(shared_with_cuda ${CMAKE_CURRENT_SOURCE_DIR}/cpu/caller_core.cc ${CMAKE_CURRENT_SOURCE_DIR}/cpu/error.cc
  ${CMAKE_CURRENT_SOURCE_DIR}/cpu/tensor_shape.cc ${CMAKE_CURRENT_SOURCE_DIR}/cpu/thread_pool.cc)

find_program(POWERINFER_NVCC nvcc HINTS /usr/local/cuda/bin)
if(NOT POWERINFER_NVCC)
  return()
endif()

# Machine code for these, and PTX of the newest for what comes after.
set(POWERINFER_CUDA_ARCHITECTURES 80 86 89 90 CACHE STRING "Compute capabilities to compile the CUDA backend for, ascending")
set(library_code)
foreach(architecture ${POWERINFER_CUDA_ARCHITECTURES})
  list(APPEND library_code -gencode arch=compute_${architecture},code=sm_${architecture})
endforeach()
list(GET POWERINFER_CUDA_ARCHITECTURES -1 newest)
list(APPEND library_code -gencode arch=compute_${newest},code=compute_${newest})
# Tests for any machine are compiled by its driver, to compile them once. Those for one architecture are for this machine (scripts/gpu_check), whose driver
# may be older than the toolkit: then it runs machine code, but refuses PTX.
list(LENGTH POWERINFER_CUDA_ARCHITECTURES architecture_count)
set(test_code -gencode arch=compute_80,code=compute_80)
if(architecture_count EQUAL 1)
  set(test_code ${library_code})
endif()
list(APPEND test_code -DPOWERINFER_TEST_PLUGINS="${CMAKE_CURRENT_BINARY_DIR}/test_plugins")
set(nvcc_options -std=c++17 -O3 -I${CMAKE_CURRENT_SOURCE_DIR}/include
  -Xcompiler -fPIC,-fvisibility=hidden,-fvisibility-inlines-hidden,-Wall,-Wextra,-ffp-contract=off)
if(POWERINFER_WARNINGS_ARE_ERRORS)
  list(APPEND nvcc_options -Werror all-warnings -Xcompiler -Werror)
endif()

# nvcc_objects(OBJECTS SOURCES OPTIONS...): the variable named OBJECTS becomes the list of what the sources are compiled to.
function(nvcc_objects objects sources)
  set(compiled)
  foreach(source ${sources})
    file(RELATIVE_PATH name ${CMAKE_CURRENT_SOURCE_DIR} ${source})
    set(object ${CMAKE_CURRENT_BINARY_DIR}/nvcc/${name}.o)
    get_filename_component(folder ${object} DIRECTORY)
    file(MAKE_DIRECTORY ${folder})
    add_custom_command(OUTPUT ${object} DEPENDS ${source} DEPFILE ${object}.d COMMENT "Compiling CUDA ${name}" VERBATIM
      COMMAND ${POWERINFER_NVCC} ${nvcc_options} ${ARGN} -MD -MF ${object}.d --compile ${source} --output-file ${object})
    list(APPEND compiled ${object})
  endforeach()
  set(${objects} ${compiled} PARENT_SCOPE)
endfunction()

set(cuda_library ${CMAKE_CURRENT_BINARY_DIR}/libpowerinfer_cuda.so)
set(cuda_exports ${CMAKE_CURRENT_SOURCE_DIR}/cuda/exports.map)
nvcc_objects(library_objects "${cuda_sources};${shared_with_cuda}" ${library_code})
add_custom_command(OUTPUT ${cuda_library} DEPENDS ${library_objects} ${cuda_exports} COMMENT "Linking libpowerinfer_cuda.so" VERBATIM
  COMMAND ${POWERINFER_NVCC} -shared -cudart static ${library_objects} --output-file ${cuda_library}
    -Xcompiler -static-libstdc++,-static-libgcc -Xlinker --no-undefined,-z,nodelete,--version-script=${cuda_exports})
add_custom_target(powerinfer_cuda DEPENDS ${cuda_library})

if(EXISTS ${CMAKE_CURRENT_SOURCE_DIR}/test)
  file(GLOB cuda_test_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/test/*.cu)
  # How the simulator answers misuse is not for a GPU to repeat.
  list(FILTER cuda_test_sources EXCLUDE REGEX "/sim_(memory|runtime)_test\\.cu$")
  set(cuda_test ${CMAKE_CURRENT_BINARY_DIR}/nvcc/powerinfer_cuda_test)  # not where a file of the target's own name would be, which Ninja refuses
  nvcc_objects(test_objects "${cuda_test_sources};${cuda_test_support}" ${test_code})
  set(tested_objects ${library_objects})
  list(FILTER tested_objects EXCLUDE REGEX "/nvcc/cpu/")
  add_custom_command(OUTPUT ${cuda_test} DEPENDS ${tested_objects} ${test_objects} powerinfer_objects
    COMMENT "Linking powerinfer_cuda_test" VERBATIM COMMAND_EXPAND_LISTS
    COMMAND ${POWERINFER_NVCC} -cudart static ${tested_objects} ${test_objects} $<TARGET_OBJECTS:powerinfer_objects> -ldl -lpthread
      --output-file ${cuda_test})
  add_custom_target(powerinfer_cuda_test DEPENDS ${cuda_test})
endif()

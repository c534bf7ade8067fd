# The CUDA sources as C++, with the simulator in place of the toolkit: the same in two flavours.
#   powerinfer_cuda_sim_test   as the rest of this build is compiled
#   powerinfer_cuda_race_test  under ThreadSanitizer, which sees races between the threads of a kernel; not where another sanitizer is on already
#   powerinfer_cuda_bugs       programs that are wrong on purpose, cuda_bugs/NAME and cuda_bugs/NAME_race: the simulator has to notice
set(cuda_folder ${CMAKE_CURRENT_SOURCE_DIR}/cuda)
file(GLOB simulator_sources CONFIGURE_DEPENDS ${cuda_folder}/sim/*.cc)
file(GLOB cuda_sources CONFIGURE_DEPENDS ${cuda_folder}/*.cu ${cuda_folder}/kernels/*.cu)
file(GLOB cuda_test_sources CONFIGURE_DEPENDS ${cuda_folder}/test/*.cu)
file(GLOB cuda_bug_sources CONFIGURE_DEPENDS ${cuda_folder}/test/bugs/*.cu)
# Kernels are unrolled for a GPU; this compiler does not know that pragma.
set_source_files_properties(${cuda_sources} ${cuda_test_sources} ${cuda_bug_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")

file(GLOB host_sources CONFIGURE_DEPENDS ${cuda_folder}/*.cc)

add_custom_target(powerinfer_cuda_bugs)

# add_simulated(FLAVOUR TEST_PROGRAM BUG_SUFFIX OPTIONS...)
function(add_simulated flavour test_program bug_suffix)
  add_library(${flavour} OBJECT ${simulator_sources})
  target_compile_definitions(${flavour} PUBLIC POWERINFER_CUDA_SIM)
  target_compile_options(${flavour} PUBLIC ${ARGN})
  target_link_options(${flavour} PUBLIC ${ARGN})
  target_link_libraries(${flavour} PUBLIC Threads::Threads)

  add_executable(${test_program} ${cuda_sources} ${host_sources} ${cuda_test_sources} ${CMAKE_CURRENT_SOURCE_DIR}/test/main.cc)
  target_link_libraries(${test_program} PRIVATE ${flavour} powerinfer_objects)

  foreach(source ${cuda_bug_sources})
    get_filename_component(name ${source} NAME_WE)
    set(program cuda_bug_${name}${bug_suffix})
    add_executable(${program} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(${program} PRIVATE ${flavour})
    set_target_properties(${program} PROPERTIES OUTPUT_NAME ${name}${bug_suffix} RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/cuda_bugs)
    add_dependencies(powerinfer_cuda_bugs ${program})
  endforeach()
endfunction()

add_simulated(powerinfer_cuda_sim powerinfer_cuda_sim_test "")
if(NOT POWERINFER_SANITIZE)
  add_simulated(powerinfer_cuda_race powerinfer_cuda_race_test _race -fsanitize=thread -g -O1)
endif()

# The CUDA sources as C++, with the simulator in place of the toolkit.
#   powerinfer_cuda_simulated   the backend as a plugin library: slow, for tests and for trying plans without a GPU
file(GLOB simulator_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/sim/*.cc)

# compile_as_cpp(SOURCES...): those that are CUDA's. Loops are unrolled for a GPU with a pragma that this compiler does not know.
function(compile_as_cpp)
  list(FILTER ARGN INCLUDE REGEX "\\.cu$")
  set_source_files_properties(${ARGN} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")
endfunction()

# add_simulator(NAME OPTIONS...): the libraries NAME, the simulator, and NAME_backend, what runs on it.
function(add_simulator name)
  add_library(${name} OBJECT EXCLUDE_FROM_ALL ${simulator_sources})
  target_compile_definitions(${name} PUBLIC POWERINFER_CUDA_SIM)
  target_compile_options(${name} PUBLIC ${ARGN})
  target_link_options(${name} INTERFACE ${ARGN})
  target_link_libraries(${name} PUBLIC Threads::Threads)
  add_library(${name}_backend OBJECT EXCLUDE_FROM_ALL ${cuda_sources})
  target_link_libraries(${name}_backend PRIVATE ${name})
endfunction()

compile_as_cpp(${cuda_sources})
add_simulator(powerinfer_cuda_sim)
add_library(powerinfer_cuda_simulated SHARED EXCLUDE_FROM_ALL ${shared_with_cuda})
target_link_libraries(powerinfer_cuda_simulated PRIVATE powerinfer_cuda_sim powerinfer_cuda_sim_backend)
target_link_options(powerinfer_cuda_simulated PRIVATE -Wl,-z,nodelete -Wl,--no-undefined)

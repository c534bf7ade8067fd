# libpowerinfer_cuda_simulated: the CUDA backend as a plugin library, on the simulator. Slow, for tests and for trying plans without a GPU.
file(GLOB simulated_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cc ${CMAKE_CURRENT_SOURCE_DIR}/cuda/sim/*.cc)
file(GLOB simulated_cuda_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/*.cu ${CMAKE_CURRENT_SOURCE_DIR}/cuda/kernels/*.cu)
set_source_files_properties(${simulated_cuda_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")
# What the device shares with libpowerinfer.
set(shared_with_cuda cpu/caller_core.cc cpu/error.cc cpu/tensor_shape.cc cpu/thread_pool.cc)
list(TRANSFORM shared_with_cuda PREPEND ${CMAKE_CURRENT_SOURCE_DIR}/)
add_library(powerinfer_cuda_simulated SHARED EXCLUDE_FROM_ALL ${simulated_sources} ${simulated_cuda_sources} ${shared_with_cuda})
target_compile_definitions(powerinfer_cuda_simulated PRIVATE POWERINFER_CUDA_SIM)
target_link_libraries(powerinfer_cuda_simulated PRIVATE Threads::Threads)
target_link_options(powerinfer_cuda_simulated PRIVATE -Wl,-z,nodelete -Wl,--no-undefined)

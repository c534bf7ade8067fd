# powerinfer_cuda_sim_test: the CUDA sources and their tests as C++, run by the simulator.
set(cuda_folder ${CMAKE_CURRENT_SOURCE_DIR}/cuda)
file(GLOB simulator_sources CONFIGURE_DEPENDS ${cuda_folder}/sim/*.cc)
file(GLOB simulated_sources CONFIGURE_DEPENDS ${cuda_folder}/*.cu ${cuda_folder}/kernels/*.cu ${cuda_folder}/test/*.cu)
set_source_files_properties(${simulated_sources} PROPERTIES LANGUAGE CXX COMPILE_OPTIONS "-xc++;-Wno-unknown-pragmas")

file(GLOB host_sources CONFIGURE_DEPENDS ${cuda_folder}/*.cc)

add_library(powerinfer_cuda_sim OBJECT ${simulator_sources})
target_compile_definitions(powerinfer_cuda_sim PUBLIC POWERINFER_CUDA_SIM)

add_executable(powerinfer_cuda_sim_test ${simulated_sources} ${host_sources} ${CMAKE_CURRENT_SOURCE_DIR}/test/main.cc)
target_link_libraries(powerinfer_cuda_sim_test PRIVATE powerinfer_cuda_sim powerinfer_objects)

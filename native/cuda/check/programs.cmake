# What scripts/gpu_check measures with.
#   powerinfer_hybrid_bench              decoding with a model divided between the CPU and a device, whose plugin library is an argument
#   powerinfer_cuda_microbench           kernels and hand-offs on a GPU: nvcc/powerinfer_cuda_microbench
#   powerinfer_cuda_microbench_simulated the same on the simulator, for tests: its figures mean nothing
file(GLOB hybrid_bench_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/check/*.cc)
add_executable(powerinfer_hybrid_bench EXCLUDE_FROM_ALL ${hybrid_bench_sources})
target_link_libraries(powerinfer_hybrid_bench PRIVATE powerinfer)

file(GLOB microbench_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/check/*.cu)
compile_as_cpp(${microbench_sources})
add_executable(powerinfer_cuda_microbench_simulated EXCLUDE_FROM_ALL ${microbench_sources})
target_link_libraries(powerinfer_cuda_microbench_simulated PRIVATE powerinfer_cuda_sim powerinfer_cuda_sim_backend powerinfer_objects)

if(POWERINFER_NVCC)
  set(microbench ${CMAKE_CURRENT_BINARY_DIR}/nvcc/powerinfer_cuda_microbench)
  nvcc_objects(microbench_objects "${microbench_sources}" ${test_code})
  add_custom_command(OUTPUT ${microbench} DEPENDS ${tested_objects} ${microbench_objects} powerinfer_objects
    COMMENT "Linking powerinfer_cuda_microbench" VERBATIM COMMAND_EXPAND_LISTS
    COMMAND ${POWERINFER_NVCC} -cudart static ${tested_objects} ${microbench_objects} $<TARGET_OBJECTS:powerinfer_objects> -ldl -lpthread
      --output-file ${microbench})
  add_custom_target(powerinfer_cuda_microbench DEPENDS ${microbench})
endif()

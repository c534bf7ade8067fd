# The tests of the CUDA sources, run by the simulator, in two flavours.
#   powerinfer_cuda_sim_test    as the rest of this build is compiled
#   powerinfer_cuda_race_test   under ThreadSanitizer, which sees races between the threads of a kernel; not in a build with other sanitizers
#   powerinfer_cuda_bugs        programs that are wrong on purpose, cuda_bugs/NAME and cuda_bugs/NAME_race: the simulator has to notice
file(GLOB cuda_test_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/test/*.cu)
file(GLOB cuda_bug_sources CONFIGURE_DEPENDS ${CMAKE_CURRENT_SOURCE_DIR}/cuda/test/bugs/*.cu)
compile_as_cpp(${cuda_test_sources} ${cuda_bug_sources})

add_custom_target(powerinfer_cuda_bugs)

# add_simulated_programs(SIMULATOR TEST_PROGRAM BUG_SUFFIX)
function(add_simulated_programs simulator test_program bug_suffix)
  # ThreadSanitizer must see how threads wait for each other, so what is shared with libpowerinfer is compiled again; the rest are definitions.
  add_executable(${test_program} EXCLUDE_FROM_ALL ${cuda_test_sources} ${cuda_test_support} ${shared_with_cuda}
    $<FILTER:$<TARGET_OBJECTS:powerinfer_objects>,EXCLUDE,/cpu/\(caller_core|error|tensor_shape|thread_pool\)[.]cc[.]o>)
  target_compile_definitions(${test_program} PRIVATE POWERINFER_TEST_PLUGINS="${plugin_folder}")
  target_include_directories(${test_program} PRIVATE ${CMAKE_CURRENT_SOURCE_DIR}/include)
  target_link_libraries(${test_program} PRIVATE ${simulator} ${simulator}_backend ${CMAKE_DL_LIBS})
  foreach(source ${cuda_bug_sources})
    get_filename_component(name ${source} NAME_WE)
    set(program cuda_bug_${name}${bug_suffix})
    add_executable(${program} EXCLUDE_FROM_ALL ${source})
    target_link_libraries(${program} PRIVATE ${simulator})
    set_target_properties(${program} PROPERTIES OUTPUT_NAME ${name}${bug_suffix}
      RUNTIME_OUTPUT_DIRECTORY ${CMAKE_CURRENT_BINARY_DIR}/cuda_bugs)
    add_dependencies(powerinfer_cuda_bugs ${program})
  endforeach()
endfunction()

add_simulated_programs(powerinfer_cuda_sim powerinfer_cuda_sim_test "")
if(NOT POWERINFER_SANITIZE)
  add_simulator(powerinfer_cuda_race -fsanitize=thread -g1 -O1)
  add_simulated_programs(powerinfer_cuda_race powerinfer_cuda_race_test _race)
endif()

# module(NAME SRCS ... [TESTS ...] [DEPS modules...] [LIBS targets...])
#
# One folder, one static library `hailstone_NAME`, one test program `NAME_test`. A module's headers are reachable as
# "NAME/x.h" through an include root of its own, which only targets that list the module in DEPS (or get it through one
# that does) ever see: an upward include does not compile. tools/check_layers.py checks that direct includes are listed.
function(module NAME)
  cmake_parse_arguments(M "" "" "SRCS;TESTS;DEPS;LIBS" ${ARGN})
  set(include_root ${CMAKE_BINARY_DIR}/include/${NAME})
  file(MAKE_DIRECTORY ${include_root})
  file(CREATE_LINK ${CMAKE_CURRENT_SOURCE_DIR} ${include_root}/${NAME} SYMBOLIC)
  add_library(hailstone_${NAME} STATIC ${M_SRCS})
  target_include_directories(hailstone_${NAME} PUBLIC ${include_root})
  list(TRANSFORM M_DEPS PREPEND hailstone_)
  target_link_libraries(hailstone_${NAME} PUBLIC ${M_DEPS} PRIVATE ${M_LIBS} hailstone_options)
  # Third-party headers that a module's public header shows must reach its users too.
  target_link_libraries(hailstone_${NAME} INTERFACE ${M_LIBS})
  if(M_TESTS AND HAILSTONE_TESTS)
    add_executable(${NAME}_test ${M_TESTS})
    target_link_libraries(${NAME}_test PRIVATE hailstone_${NAME} hailstone_options GTest::gmock_main ${RAPIDCHECK_TARGETS})
    gtest_discover_tests(${NAME}_test DISCOVERY_MODE PRE_TEST PROPERTIES TIMEOUT 300 LABELS unit)
  endif()
endfunction()

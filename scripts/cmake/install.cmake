# What `cmake --install` and cpack put where, in three components: runtime, dev and tools.
set(package ${CMAKE_INSTALL_LIBDIR}/cmake/tenet)

install(TARGETS tenet tenet_whole tenet_usage EXPORT tenet-targets
        LIBRARY COMPONENT runtime NAMELINK_COMPONENT dev
        ARCHIVE COMPONENT dev)
if(TARGET reformer)
  install(TARGETS reformer COMPONENT tools)
endif()
foreach(folder IN LISTS tenet_folders)
  install(DIRECTORY ${folder}/ DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tenet/${folder} COMPONENT dev
          FILES_MATCHING PATTERN "*.h" PATTERN "reformer_cmd*" EXCLUDE)
endforeach()
install(FILES ${include_tree}/tenet.h DESTINATION ${CMAKE_INSTALL_INCLUDEDIR}/tenet COMPONENT dev)

# find_package(tenet). Whoever links the archive needs what it needs; a shared library brings its own.
set(dependencies "find_dependency(fmt)\n")
if(NOT BUILD_SHARED_LIBS)
  string(APPEND dependencies "find_dependency(Threads)\nfind_dependency(OpenMP)\nfind_dependency(dnnl)\n")
  if(CAIRO_FOUND)
    string(APPEND dependencies "find_dependency(PkgConfig)\npkg_check_modules(CAIRO QUIET REQUIRED IMPORTED_TARGET cairo)\n")
  endif()
  if(TENET_WITH_CUDA)
    string(APPEND dependencies "find_dependency(CUDAToolkit)\n")
  endif()
endif()
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tenet-config.cmake @ONLY CONTENT
"include(CMakeFindDependencyMacro)
@dependencies@include(\${CMAKE_CURRENT_LIST_DIR}/tenet-targets.cmake)\n")
include(CMakePackageConfigHelpers)
write_basic_package_version_file(${PROJECT_BINARY_DIR}/tenet-config-version.cmake COMPATIBILITY SameMinorVersion)
install(EXPORT tenet-targets NAMESPACE tenet:: DESTINATION ${package} COMPONENT dev)
install(FILES ${PROJECT_BINARY_DIR}/tenet-config.cmake ${PROJECT_BINARY_DIR}/tenet-config-version.cmake
        DESTINATION ${package} COMPONENT dev)

# pkg-config. The archive stands between the two flags in one word, which nothing can reorder.
set(pc_requires fmt)
if(BUILD_SHARED_LIBS)
  set(pc_libs "-L\${libdir} -ltenet")
else()
  if(CAIRO_FOUND)
    string(APPEND pc_requires ", cairo")
  endif()
  set(pc_libs "-Wl,--whole-archive,\${libdir}/libtenet.a,--no-whole-archive -ldnnl")
  if(TENET_WITH_CUDA)
    string(APPEND pc_libs " -L${CUDAToolkit_LIBRARY_DIR} -lcudart -lcublasLt")
  endif()
  foreach(name IN LISTS OpenMP_CXX_LIB_NAMES)
    if(CMAKE_CXX_COMPILER_ID STREQUAL "GNU" OR name STREQUAL "pthread")
      string(APPEND pc_libs " -l${name}")
    else()
      string(APPEND pc_libs " ${OpenMP_${name}_LIBRARY}")
    endif()
  endforeach()
endif()
file(RELATIVE_PATH pc_prefix /${CMAKE_INSTALL_LIBDIR}/pkgconfig /)
string(REGEX REPLACE "/$" "" pc_prefix "\${pcfiledir}/${pc_prefix}")
file(CONFIGURE OUTPUT ${PROJECT_BINARY_DIR}/tenet.pc @ONLY CONTENT
"prefix=@pc_prefix@
libdir=\${prefix}/@CMAKE_INSTALL_LIBDIR@
includedir=\${prefix}/@CMAKE_INSTALL_INCLUDEDIR@

Name: tenet
Description: @PROJECT_DESCRIPTION@
Version: @PROJECT_VERSION@
Requires: @pc_requires@
Libs: @pc_libs@
Cflags: -I\${includedir}
")
install(FILES ${PROJECT_BINARY_DIR}/tenet.pc DESTINATION ${CMAKE_INSTALL_LIBDIR}/pkgconfig COMPONENT dev)

include(scripts/cmake/package.cmake)

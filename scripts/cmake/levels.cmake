# The instruction sets that are compiled for. TENET_NATIVE=ON: this machine's, everywhere. OFF, for packages:
# x86-64-v2 everywhere, and ops/ twice more, see Note [Kernels per level] in core/cpu_level.cpp.
# tenet_levels lists the further levels.
set(tenet_levels)
if(TENET_NATIVE)
  target_compile_options(tenet_flags INTERFACE $<$<COMPILE_LANGUAGE:CXX>:-march=native>)
elseif(CMAKE_SYSTEM_PROCESSOR MATCHES "^(x86_64|AMD64|amd64)$")
  set(level $<TARGET_PROPERTY:TENET_LEVEL>)
  target_compile_options(tenet_flags INTERFACE
    $<$<COMPILE_LANGUAGE:CXX>:-march=x86-64-$<IF:$<BOOL:${level}>,${level},v2>>)
  if(NOT TENET_SANITIZE)
    set(tenet_levels v3 v4)
  endif()
endif()

if(tenet_levels)
  find_program(TENET_LD NAMES ld.bfd ld REQUIRED)
  mark_as_advanced(TENET_LD)
endif()

# tenet_kernel_levels(<sources>...): adds to tenet one object per further level, made of these sources.
function(tenet_kernel_levels)
  set(script ${PROJECT_SOURCE_DIR}/scripts/cmake/level_object.sh)
  foreach(level IN LISTS tenet_levels)
    add_library(tenet_ops_${level} OBJECT ${ARGN})
    set_target_properties(tenet_ops_${level} PROPERTIES TENET_LEVEL ${level} POSITION_INDEPENDENT_CODE ON
                          INTERPROCEDURAL_OPTIMIZATION OFF)
    target_link_libraries(tenet_ops_${level} PRIVATE tenet_flags tenet_usage DNNL::dnnl)
    # The slots are the library's, so the compiler must take a symbol's address as unknown. Slots that are templates
    # must be weak symbols: GCC's unique ones cannot be given up for those of another object.
    target_compile_options(tenet_ops_${level} PRIVATE -fsemantic-interposition
                           $<$<CXX_COMPILER_ID:GNU>:-fno-gnu-unique>)
    set(object ${PROJECT_BINARY_DIR}/tenet_kernels_${level}.o)
    add_custom_command(
      OUTPUT ${object}
      COMMAND sh ${script} ${level} ${object} ${TENET_LD} ${CMAKE_NM} ${CMAKE_OBJCOPY}
              $<TARGET_OBJECTS:tenet_ops_${level}>
      DEPENDS ${script} $<TARGET_OBJECTS:tenet_ops_${level}>
      COMMENT "Kernels for x86-64-${level}" COMMAND_EXPAND_LISTS VERBATIM)
    add_custom_target(tenet_kernels_${level} DEPENDS ${object})
    set_source_files_properties(${object} PROPERTIES EXTERNAL_OBJECT ON GENERATED ON)
    target_sources(tenet PRIVATE ${object})
    add_dependencies(tenet tenet_kernels_${level})
  endforeach()
endfunction()

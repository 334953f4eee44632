# Builds the files of the example projects into the binary, so that `weir init --template` needs nothing beside it.
file(GLOB_RECURSE example_files CONFIGURE_DEPENDS RELATIVE ${CMAKE_SOURCE_DIR}/examples ${CMAKE_SOURCE_DIR}/examples/*)
list(FILTER example_files INCLUDE REGEX "^[a-z0-9_]+/(weir.yml|README.md|(contracts|models|functions|tests|reference)/.*)$")
list(SORT example_files)
set(examples_assembly "")
set(examples_symbols "")
set(examples_entries "")
set(examples_depends "")
set(examples_count 0)
foreach(file ${example_files})
  string(REGEX MATCH "^[^/]+" example ${file})
  string(REGEX REPLACE "^${example}/(.*)$" "\\1" path ${file})
  set(symbol example_file_${examples_count})
  math(EXPR examples_count "${examples_count} + 1")
  string(APPEND examples_assembly "${symbol}:\\n.incbin \\\"${CMAKE_SOURCE_DIR}/examples/${file}\\\"\\n${symbol}_end:\\n")
  string(APPEND examples_symbols "extern \"C\" const char ${symbol}[], ${symbol}_end[];\n")
  string(APPEND examples_entries "    {\"${example}\", \"${path}\", {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})}},\n")
  list(APPEND examples_depends ${CMAKE_SOURCE_DIR}/examples/${file})
endforeach()
set(examples_source ${CMAKE_BINARY_DIR}/generated/examples.cc)
file(CONFIGURE OUTPUT ${examples_source} @ONLY CONTENT [[
#include "main/examples.h"

__asm__(".section .rodata\n@examples_assembly@.previous\n");
@examples_symbols@
namespace weir::main {

std::vector<ExampleFile> ExampleFiles() {
  return {
@examples_entries@  };
}

}  // namespace weir::main
]])
set_source_files_properties(${examples_source} PROPERTIES OBJECT_DEPENDS "${examples_depends}")
target_sources(weir PRIVATE ${examples_source})

# Builds the example's taxi trips into the binary, so that a packaged Weir can make its own data.
file(GLOB taxi_files CONFIGURE_DEPENDS ${CMAKE_SOURCE_DIR}/examples/rides/taxi/yellow_tripdata_sample_*.csv.gz)
list(SORT taxi_files)
set(embedded_assembly "")
set(embedded_symbols "")
set(embedded_entries "")
foreach(file ${taxi_files})
  string(REGEX MATCH "[0-9][0-9][0-9][0-9]-[0-9][0-9]" month ${file})
  string(REPLACE "-" "_" symbol taxi_${month})
  string(APPEND embedded_assembly "${symbol}:\\n.incbin \\\"${file}\\\"\\n${symbol}_end:\\n")
  string(APPEND embedded_symbols "extern \"C\" const char ${symbol}[], ${symbol}_end[];\n")
  string(APPEND embedded_entries "    {\"${month}\", {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})}},\n")
endforeach()
set(embedded_source ${CMAKE_BINARY_DIR}/generated/taxi_months.cc)
file(CONFIGURE OUTPUT ${embedded_source} @ONLY CONTENT [[
#include "generate/rides_internal.h"

__asm__(".section .rodata\n@embedded_assembly@.previous\n");
@embedded_symbols@
namespace weir::generate {

std::vector<TaxiMonth> EmbeddedTaxiMonths() {
  return {
@embedded_entries@  };
}

}  // namespace weir::generate
]])
set_source_files_properties(${embedded_source} PROPERTIES OBJECT_DEPENDS "${taxi_files}")
target_sources(weir_generate PRIVATE ${embedded_source})

#include <fstream>
#include <iterator>

#include "fuzz/fuzz.h"

namespace weir::fuzz {

std::string RepositoryFile(const std::string& path) {
  std::ifstream in(WEIR_SOURCE_DIR "/" + path, std::ios::binary);
  WEIR_CHECK(in.good());
  return {std::istreambuf_iterator<char>(in), {}};
}

}  // namespace weir::fuzz

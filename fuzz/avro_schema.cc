// Avro schemas: whatever parses can be walked, and skips any bytes in bounded time.
#include "avro/avro.h"
#include "fuzz/fuzz.h"

namespace weir::fuzz {
namespace {

void CheckNode(const avro::Node& node, int depth) {
  if (depth > 8) return;  // a schema may be recursive
  for (const avro::Field& field : node.fields) {
    WEIR_CHECK(field.type != nullptr);
    CheckNode(*field.type, depth + 1);
  }
  for (const avro::Node* branch : node.branches) {
    WEIR_CHECK(branch != nullptr);
    CheckNode(*branch, depth + 1);
  }
  const bool has_items = node.kind == avro::Kind::kArray || node.kind == avro::Kind::kMap;
  WEIR_CHECK((node.items != nullptr) == has_items);
  if (has_items) CheckNode(*node.items, depth + 1);
}

}  // namespace

WEIR_FUZZER(avro_schema)(std::string_view bytes) {
  const auto schema = avro::Schema::Parse(bytes);
  if (!schema.ok()) return CheckError(schema.error());
  if (bytes.size() < 2000) CheckNode(schema->root(), 0);
  avro::Decoder in(bytes);
  in.Skip(schema->root());
}

}  // namespace weir::fuzz

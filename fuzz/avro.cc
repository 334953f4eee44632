// Avro container files: walking a datum and skipping it take the same bytes, and what was
// read encodes to something that reads as the same.
#include "avro/avro.h"

#include "fuzz/fuzz.h"

namespace weir::fuzz {
namespace {

constexpr int kDepthMax = 200;
constexpr int64_t kStepsMax = 200'000;  // of one input; the rest is not looked at

// Reads values and writes them again, in one block an array.
class Walker {
 public:
  bool Walk(avro::Decoder& in, const avro::Node& node, avro::Encoder& out, int depth) {
    if (depth > kDepthMax || ++steps_ > kStepsMax) return false;
    switch (node.kind) {
      case avro::Kind::kNull:
        return true;
      case avro::Kind::kBool:
        out.Bool(in.Bool());
        return true;
      case avro::Kind::kInt:
      case avro::Kind::kLong:
      case avro::Kind::kEnum:
        out.Long(in.Long());
        return true;
      case avro::Kind::kFloat:
        out.Float(in.Float());
        return true;
      case avro::Kind::kDouble:
        out.Double(in.Double());
        return true;
      case avro::Kind::kBytes:
      case avro::Kind::kString:
        out.Bytes(in.Bytes());
        return true;
      case avro::Kind::kFixed:
        out.Raw(in.Raw(node.size));
        return true;
      case avro::Kind::kUnion: {
        const avro::Node& branch = in.Branch(node);
        if (!in.ok()) return true;
        int64_t index = 0;
        while (node.branches[static_cast<size_t>(index)] != &branch) ++index;
        out.Long(index);
        return Walk(in, branch, out, depth + 1);
      }
      case avro::Kind::kRecord:
        for (const avro::Field& field : node.fields) {
          if (!in.ok()) return true;
          if (!Walk(in, *field.type, out, depth + 1)) return false;
        }
        return true;
      case avro::Kind::kArray:
      case avro::Kind::kMap:
        return WalkItems(in, node, out, depth);
    }
    return false;
  }

 private:
  bool WalkItems(avro::Decoder& in, const avro::Node& node, avro::Encoder& out,
                 int depth) {
    for (int64_t count = in.BlockCount(); count > 0; count = in.BlockCount()) {
      out.Long(count);
      for (; count > 0; --count) {
        if (!in.ok()) return true;
        if (node.kind == avro::Kind::kMap) out.Bytes(in.Bytes());
        if (!Walk(in, *node.items, out, depth + 1)) return false;
      }
    }
    out.Long(0);
    return true;
  }

  int64_t steps_ = 0;
};

void CheckBlock(const avro::Node& root, const avro::FileReader::Block& block) {
  avro::Decoder walking(block.bytes), skipping(block.bytes);
  std::string encoded;
  avro::Encoder out(&encoded);
  Walker walker;
  for (int64_t i = 0; i < block.records && i < 10'000; ++i) {
    if (!walker.Walk(walking, root, out, 0)) return;
    skipping.Skip(root);
    // What cannot be a value (a bool of 2) is skipped all the same.
    if (!walking.ok()) return;
    WEIR_CHECK(skipping.ok() && skipping.rest() == walking.rest());
  }
  avro::Decoder again(encoded);
  std::string twice;
  avro::Encoder out_again(&twice);
  Walker second;
  for (int64_t i = 0; i < block.records && i < 10'000; ++i) {
    if (!second.Walk(again, root, out_again, 0)) return;
  }
  WEIR_CHECK(again.ok() && again.rest().empty() && twice == encoded);
}

}  // namespace

WEIR_FUZZER(avro)(std::string_view bytes) {
  auto file = avro::FileReader::Open(std::string(bytes));
  if (!file.ok()) return CheckError(file.error());
  while (true) {
    auto block = file->Next();
    if (!block.ok()) return CheckError(block.error());
    if (!*block) return;
    WEIR_CHECK((*block)->records >= 0);
    CheckBlock(file->schema().root(), **block);
  }
}

}  // namespace weir::fuzz

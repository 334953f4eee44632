// The declared schema as the JSON reader walks it: a tree of fields, each with its column
// and, for objects, the lookup of its keys.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json_column_internal.h"
#include "data/type.h"

namespace weir::codec {

struct Node {
  static constexpr uint32_t kNone = UINT32_MAX;

  explicit Node(const data::Field& field);

  data::Field field;
  data::Kind kind;
  // Dotted path from the record; only of nodes under no list or map, others have one path
  // per occurrence.
  std::string path;
  bool is_static = true;
  // The name and a closing quote: what a record holds when it spells the key without
  // escapes, then 8 zero bytes. Its size without those is 0 when the name itself cannot
  // stand there unescaped.
  std::string quoted_name;
  size_t quoted_size = 0;
  Column column;
  std::vector<std::unique_ptr<Node>> children;

  // Of objects: one bit a child, set when the record carried it, then one bit that says
  // the object itself was there.
  uint64_t* seen = nullptr;
  uint32_t seen_words = 0;

  bool Seen(uint32_t bit) const { return (seen[bit >> 6] >> (bit & 63) & 1) != 0; }
  // False: it was set already.
  bool MarkSeen(uint32_t bit) {
    uint64_t& word = seen[bit >> 6];
    const uint64_t mask = uint64_t{1} << (bit & 63);
    const bool fresh = (word & mask) == 0;
    word |= mask;
    return fresh;
  }
  bool AllSeen() const;
  uint32_t present_bit() const { return static_cast<uint32_t>(children.size()); }

  // Whether the key whose text begins at `key` is this node's name, spelled without
  // escapes. Reads up to 8 bytes too far.
  bool SpelledAt(const char* key) const {
    if (quoted_size == 0) return false;
    const char* const name = quoted_name.data();
    size_t i = 0;
    for (; i + 8 <= quoted_size; i += 8) {
      if (Word(key + i) != Word(name + i)) return false;
    }
    const uint64_t differ = Word(key + i) ^ Word(name + i);
    return i == quoted_size || differ << (8 * (8 - (quoted_size - i))) == 0;
  }

  // The child of that (unescaped) name, or kNone. Reads up to 8 bytes from key.data().
  uint32_t Find(std::string_view key) const;
  // Records carry their keys in much the same order, so the child that came after this
  // one last time is the first guess. The guess after nothing yet is at children.size().
  std::vector<uint32_t> next;

  void BuildLookup();

 private:
  static uint64_t Word(const char* p) {
    uint64_t word;
    std::memcpy(&word, p, 8);
    return word;
  }

  std::vector<uint32_t> slots_;  // child + 1, open addressing; a power of two
};

// The tree for a declared schema; its root is the record. `seen` receives the bits of all
// objects, those of static nodes
// (`static_words`) first. kInvalid for a type JSON cannot carry.
Result<std::unique_ptr<Node>> BuildNodes(const data::Schema& declared,
                                         std::vector<uint64_t>* seen,
                                         size_t* static_words);

// Forgets rows [first, last) of the node and all below it.
void TruncateNode(Node& node, int64_t first, int64_t last);

// The node's column with its children.
std::shared_ptr<arrow::ArrayData> FinishNode(
    Node& node, int64_t rows, const std::shared_ptr<arrow::DataType>& type);

}  // namespace weir::codec

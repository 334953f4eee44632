// Reads one record: walks the tokens that stage 1 of simdjson found and writes the values
// into the nodes' columns.
#pragma once

#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "codec/json.h"
#include "codec/json_node_internal.h"
#include "codec/json_trail_internal.h"

namespace weir::codec {

// Stage 1 has checked UTF-8, that strings are closed and that no raw control character
// stands in them. Everything else of the grammar is checked here, in skipped values too.
class JsonReader {
 public:
  // `static_seen`: the bits of the static nodes, cleared for each record.
  JsonReader(const JsonOptions& options, Node* root, std::span<uint64_t> static_seen);

  // Tokens are positions in `block` + `start`. After the last record's token one more
  // stands in the block: the separator's.
  void BeginBlock(const char* block, size_t start, size_t end, const uint32_t* tokens);

  // The record is block[start, end); behind it stand the separator and look_ahead()
  // readable bytes. False: it is not JSON, and Complaint() says why; what was written to
  // the columns for this row is the caller's to take back.
  bool ReadRecord(int64_t row, size_t start, size_t end, std::vector<RowFault>* faults);
  void SkipRecord(size_t end);

  std::string Complaint() const;
  // Of the record just read.
  std::string_view extra() const { return trail_.text(); }
  const std::vector<std::string>& absent_elements() const { return absent_elements_; }

  size_t look_ahead() const { return look_ahead_; }
  void Shrink();

 private:
  bool ReadObject(Node& node, int64_t row);
  bool ReadKey(Node& node, uint32_t* guess, Node** child, std::string_view* quoted);
  bool ReadUnknown(std::string_view quoted_key);
  bool ReadValue(Node& node, int64_t row);
  bool ReadString(Node& node, int64_t row);
  bool ReadParsedText(Node& node, int64_t row);
  bool PutText(Node& node, int64_t row, std::string_view text);
  bool ReadBool(Node& node, int64_t row);
  bool ReadWhole(Node& node, int64_t row);
  bool ReadWholeSlowly(Node& node, int64_t row);
  bool ReadFraction(Node& node, int64_t row);
  bool ReadFractionSlowly(Node& node, int64_t row);
  bool ReadDecimal(Node& node, int64_t row);
  bool PutWhole(Node& node, int64_t row, int64_t value);
  bool ReadList(Node& node, int64_t row);
  bool ReadMap(Node& node, int64_t row);
  bool ReadStruct(Node& node, int64_t row);
  bool WrongType(Node& node);
  bool Reject(const Node& node, const char* first, const char* end);

  // These move past one value, checking all of it; *end is set behind its last byte.
  bool SkipValue(const char** end);
  bool SkipString(const char** end);
  bool SkipNumber(const char** end);
  bool SkipLiteral(std::string_view word, const char** end);
  bool SkipContainer(const char** end);
  bool SkipObjectBody();
  bool SkipListBody();

  bool Enter();
  bool RawString(std::string_view* raw);
  bool KeepKey(std::string_view raw);
  bool KeysDistinct(size_t first);
  bool Unescape(std::string_view raw, std::string_view* text);
  bool Bad(const char* what);
  char Here() const { return base_[*token_]; }
  const char* At() const { return base_ + *token_; }
  static bool EndsScalar(char c);
  void NoteAbsentElements(Node& node);

  const JsonOptions options_;
  Node* const root_;
  const std::span<uint64_t> static_seen_;
  size_t look_ahead_;

  const char* base_ = nullptr;  // where token positions count from
  const char* block_ = nullptr;
  const uint32_t* token_ = nullptr;
  bool escapes_ = false;  // somewhere in the block
  int depth_ = 0;
  int64_t row_ = 0;
  size_t start_ = 0;
  std::vector<RowFault>* faults_ = nullptr;
  Trail trail_;
  std::vector<std::string_view> keys_;  // unknown keys and map keys of the open objects
  std::vector<char> arena_;             // unescaped keys of the record, then scratch
  size_t arena_used_ = 0;
  std::vector<std::string> absent_elements_;
  const char* complaint_ = "";
  size_t complaint_at_ = 0;
};

}  // namespace weir::codec

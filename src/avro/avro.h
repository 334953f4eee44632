// Avro schemas, the binary encoding, and object container files (Avro 1.11). There are no
// generic values: a reader walks the writer's schema, takes the fields it knows by id or
// name, and skips the rest.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace weir::avro {

enum class Kind : uint8_t {
  kNull,
  kBool,
  kInt,
  kLong,
  kFloat,
  kDouble,
  kBytes,
  kString,
  kRecord,
  kEnum,
  kArray,
  kMap,
  kUnion,
  kFixed,
};

struct Node;

struct Field {
  std::string name;
  const Node* type = nullptr;
  int id = -1;  // the attribute "field-id", -1 without one
};

// One type of a schema. A named type that is used again is the same node, so a schema may
// be recursive.
struct Node {
  Kind kind = Kind::kNull;
  std::string name;  // of a record, enum or fixed
  std::string logical_type;
  int precision = 0, scale = 0;       // of a decimal
  size_t size = 0;                    // of a fixed
  std::vector<Field> fields;          // of a record
  std::vector<const Node*> branches;  // of a union
  const Node* items = nullptr;        // of an array; of a map, its values
  int element_id = -1;                // the attribute "element-id" of an array
  bool no_bytes = false;  // its values take none: null, fixed(0), a record of such
  std::vector<std::string> symbols;  // of an enum
};

// A parsed schema owns its nodes; their addresses survive a move.
class Schema {
 public:
  // kInvalid: not a schema; nesting deeper than 64 counts as none.
  static Result<Schema> Parse(std::string_view json);
  const Node& root() const { return *root_; }

 private:
  friend class SchemaParser;
  std::vector<std::unique_ptr<Node>> nodes_;
  const Node* root_ = nullptr;
};

// Appends the binary encoding to a string.
class Encoder {
 public:
  explicit Encoder(std::string* out) : out_(out) {}
  void Long(int64_t value);
  void Int(int32_t value) { Long(value); }
  void Bool(bool value) { out_->push_back(value ? 1 : 0); }
  void Float(float value);
  void Double(double value);
  void Bytes(std::string_view value);                        // also a string
  void Raw(std::string_view value) { out_->append(value); }  // a fixed

 private:
  std::string* out_;
};

// Reads the binary encoding. The first fault makes ok() false for good and every later
// value zero or empty, so that callers check once per record.
class Decoder {
 public:
  explicit Decoder(std::string_view bytes) : rest_(bytes) {}
  int64_t Long();
  int32_t Int();
  bool Bool();
  float Float();
  double Double();
  std::string_view Bytes();  // also a string; points into the input
  std::string_view Raw(size_t size);

  // The branch that was written if `type` is a union (its index is consumed), otherwise
  // `type`.
  const Node& Branch(const Node& type);
  // Items in the next block of an array or map; 0 ends it. Items of no bytes at all are
  // not supported.
  int64_t BlockCount();
  // Takes time in proportion to the bytes, whatever the schema is.
  void Skip(const Node& type);

  bool ok() const { return ok_; }
  std::string_view rest() const { return rest_; }

 private:
  void Fail();
  void SkipNested(const Node& type, int depth);

  std::string_view rest_;
  bool ok_ = true;
};

enum class Codec : uint8_t { kNull, kDeflate };

// Builds an object container file in memory.
class FileWriter {
 public:
  FileWriter(std::string_view schema_json,
             const std::map<std::string, std::string>& metadata, Codec codec);
  Encoder record() {
    return Encoder(&block_);
  }  // write exactly one record into it, then EndRecord()
  void EndRecord();
  std::string Finish() &&;  // the whole file

 private:
  void FlushBlock();

  const Codec codec_;
  std::string out_, block_, sync_;
  int64_t block_records_ = 0;
};

// Reads an object container file that is in memory. Codecs null and deflate.
class FileReader {
 public:
  // kCorrupt: not a container file; kInvalid: an unsupported codec.
  static Result<FileReader> Open(std::string bytes);

  const Schema& schema() const { return schema_; }
  // The header's metadata, "avro.schema" included.
  const std::map<std::string, std::string>& metadata() const { return metadata_; }

  // Records of no bytes at all are not supported: there are at most as many as bytes.
  struct Block {
    int64_t records = 0;
    std::string_view bytes;  // valid until the next call
  };
  Result<std::optional<Block>> Next();  // nullopt at the end

 private:
  std::unique_ptr<const std::string> bytes_;  // on the heap, so that views survive a move
  std::string_view rest_, sync_;
  std::map<std::string, std::string> metadata_;
  Schema schema_;
  Codec codec_ = Codec::kNull;
  std::string inflated_;
};

}  // namespace weir::avro

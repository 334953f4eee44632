#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <fstream>
#include <nlohmann/json.hpp>

#include "iceberg/manifest_internal.h"
#include "iceberg/table.h"
#include "io/sim_io.h"

namespace weir::iceberg {
namespace {

using Json = nlohmann::json;
using data::Kind;
using data::Simple;

const std::string kGolden = WEIR_SOURCE_DIR "/src/iceberg/testdata/";

std::string ReadFile(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

std::string Hex(std::string_view bytes) {
  std::string out;
  for (const char byte : bytes) out += fmt::format("{:02x}", static_cast<uint8_t>(byte));
  return out;
}

// A table that Spark wrote, on a simulated disk under the paths it had.
class SparkTable : public testing::TestWithParam<const char*> {
 protected:
  void SetUp() override {
    folder_ = kGolden + GetParam() + "/";
    text_ = ReadFile(folder_ + "metadata.json");
    Result<Metadata> parsed = ParseMetadata(text_);
    ASSERT_TRUE(parsed.ok()) << parsed.error().message;
    metadata_ = *std::move(parsed);
    for (size_t i = 0; i < metadata_.snapshots.size(); ++i) {
      const Snapshot& snapshot = metadata_.snapshots[i];
      Put(snapshot.manifest_list, fmt::format("manifest-list.{}.{}.avro", i + 1,
                                              snapshot.summary.at("operation")));
    }
    const Json list = Json::parse(ReadFile(folder_ + "manifest-list.4.overwrite.json"));
    for (size_t i = 0; i < list.size(); ++i) {
      names_.push_back(
          fmt::format("manifest.{}.{}", i, list[i]["content"] == 0 ? "data" : "deletes"));
      Put(list[i]["manifest_path"], names_.back() + ".avro");
    }
  }
  void Put(const std::string& uri, const std::string& name) {
    const std::string path = *PathOf(uri);
    ASSERT_TRUE(io_.CreateDirs(std::string(io::DirName(path))).ok());
    ASSERT_TRUE(io_.WriteNew(path, ReadFile(folder_ + name)).ok());
  }

  std::string folder_, text_;
  Metadata metadata_;
  io::SimIo io_;
  std::vector<std::string> names_;
};
INSTANTIATE_TEST_SUITE_P(, SparkTable, testing::Values("spark_v2", "spark_v3"),
                         [](const auto& info) { return info.param; });

TEST_P(SparkTable, MetadataSurvivesReadingAndWriting) {
  EXPECT_EQ(Json::parse(MetadataToJson(metadata_)), Json::parse(text_));
  EXPECT_EQ(metadata_.schema().fields.size(), 11u);
  EXPECT_EQ(metadata_.spec().fields[1].transform.kind, TransformKind::kBucket);
  EXPECT_EQ(metadata_.current()->sequence_number, 4);
}

// {"key":…,"value":…} pairs in no particular order, or null.
std::map<int, Json> Pairs(const Json& json) {
  std::map<int, Json> out;
  for (const Json& pair : json.is_null() ? Json::array() : json) {
    out[pair["key"]] =
        pair["value"].is_object() ? pair["value"]["bytes_hex"] : pair["value"];
  }
  return out;
}
std::map<int, Json> Pairs(const std::map<int, int64_t>& counts) {
  return {counts.begin(), counts.end()};
}
std::map<int, Json> Pairs(const std::map<int, std::string>& bounds) {
  std::map<int, Json> out;
  for (const auto& [id, bytes] : bounds) out[id] = Hex(bytes);
  return out;
}

void ExpectEntry(const ManifestEntry& entry, const Json& json) {
  const Json& file = json["data_file"];
  EXPECT_EQ(static_cast<int>(entry.status), json["status"]);
  EXPECT_EQ(entry.snapshot.value, json["snapshot_id"]);
  EXPECT_EQ(entry.file.path, file["file_path"]);
  EXPECT_EQ(entry.format, file["file_format"]);
  EXPECT_EQ(static_cast<int>(entry.content), file["content"]);
  EXPECT_EQ(entry.file.record_count, file["record_count"]);
  EXPECT_EQ(entry.file.file_bytes, file["file_size_in_bytes"]);
  EXPECT_EQ(entry.file.partition[0],
            Literal(*ParseDate(file["partition"]["ts_day"].get<std::string>())));
  EXPECT_EQ(entry.file.partition[1],
            Literal(file["partition"]["id_bucket"].get<int32_t>()));
  EXPECT_EQ(Pairs(entry.file.column_bytes), Pairs(file["column_sizes"]));
  EXPECT_EQ(Pairs(entry.file.value_counts), Pairs(file["value_counts"]));
  EXPECT_EQ(Pairs(entry.file.null_counts), Pairs(file["null_value_counts"]));
  EXPECT_EQ(Pairs(entry.file.nan_counts), Pairs(file["nan_value_counts"]));
  EXPECT_EQ(Pairs(entry.file.lower), Pairs(file["lower_bounds"]));
  EXPECT_EQ(Pairs(entry.file.upper), Pairs(file["upper_bounds"]));
  EXPECT_EQ(entry.file.referenced_data_file,
            file["referenced_data_file"].is_null() ? "" : file["referenced_data_file"]);
  if (file.contains("content_offset") && !file["content_offset"].is_null()) {
    EXPECT_TRUE(entry.file.is_deletion_vector);
    EXPECT_EQ(entry.file.content_offset, file["content_offset"]);
    EXPECT_EQ(entry.file.content_bytes, file["content_size_in_bytes"]);
  }
}

TEST_P(SparkTable, ManifestsAreReadAndSurviveARewrite) {
  const auto list = ReadManifestList(io_, metadata_.current()->manifest_list);
  ASSERT_TRUE(list.ok()) << list.error().message;
  ASSERT_EQ(list->size(), names_.size());
  for (size_t i = 0; i < list->size(); ++i) {
    const Json expected = Json::parse(ReadFile(folder_ + names_[i] + ".json"));
    auto entries = ReadManifest(io_, metadata_, (*list)[i]);
    ASSERT_TRUE(entries.ok()) << entries.error().message;
    ASSERT_EQ(entries->size(), expected.size());
    for (size_t j = 0; j < expected.size(); ++j) {
      const Json& json = expected[j];
      ExpectEntry((*entries)[j], json);
      const int64_t sequence = json["sequence_number"].is_null()
                                   ? (*list)[i].sequence_number
                                   : json["sequence_number"].get<int64_t>();
      EXPECT_EQ((*entries)[j].file.data_sequence_number, sequence);
    }

    ManifestFile rewritten;
    rewritten.path = fmt::format("file:///rewritten-{}.avro", i);
    rewritten.spec_id = (*list)[i].spec_id;
    rewritten.is_deletes = (*list)[i].is_deletes;
    const Result<std::string> bytes =
        ManifestBytes(metadata_, *metadata_.current(), *entries, &rewritten);
    ASSERT_TRUE(bytes.ok()) << bytes.error().message;
    ASSERT_TRUE(io_.WriteNew(*PathOf(rewritten.path), *bytes).ok());
    EXPECT_EQ(rewritten.added_files, (*list)[i].added_files);
    EXPECT_EQ(rewritten.existing_rows, (*list)[i].existing_rows);
    EXPECT_EQ(rewritten.deleted_rows, (*list)[i].deleted_rows);
    for (size_t field = 0; field < 2; ++field) {
      EXPECT_EQ(rewritten.partitions[field].lower, (*list)[i].partitions[field].lower);
      EXPECT_EQ(rewritten.partitions[field].upper, (*list)[i].partitions[field].upper);
    }
    rewritten.sequence_number = (*list)[i].sequence_number;
    rewritten.first_row_id = (*list)[i].first_row_id;
    const auto again = ReadManifest(io_, metadata_, rewritten);
    ASSERT_TRUE(again.ok()) << again.error().message;
    for (size_t j = 0; j < expected.size(); ++j) {
      ExpectEntry((*again)[j], expected[j]);
      EXPECT_EQ((*again)[j].file.first_row_id, (*entries)[j].file.first_row_id);
      EXPECT_EQ((*again)[j].file.file_sequence_number,
                (*entries)[j].file.file_sequence_number);
    }
  }
}

TEST_P(SparkTable, LiveFilesAreThoseThatSparkReads) {
  std::map<std::string, int64_t> data, vectors;  // path -> rows
  for (const std::string& name : names_) {
    for (const Json& entry : Json::parse(ReadFile(folder_ + name + ".json"))) {
      if (entry["status"] == 2) continue;
      const Json& file = entry["data_file"];
      if (file["content"] == 0) {
        data[file["file_path"]] = file["record_count"];
      } else if (file["file_format"] == "PUFFIN") {
        vectors[file["referenced_data_file"]] = file["record_count"];
      }
    }
  }
  const auto live = LiveFiles(io_, metadata_, *metadata_.current());
  if (metadata_.format_version ==
      2) {  // position delete files: refused, since ignoring them would show deleted rows
    ASSERT_FALSE(live.ok());
    EXPECT_EQ(live.error().code, Code::kInvalid);
    EXPECT_EQ(LiveFiles(io_, metadata_, metadata_.snapshots[0])->size(), 8u);
    return;
  }
  ASSERT_TRUE(live.ok()) << live.error().message;
  std::map<std::string, int64_t> got_data, got_vectors;
  std::map<int64_t, int64_t> ids;
  for (const LiveFile& file : *live) {
    got_data[file.data.path] = file.data.record_count;
    if (file.vector) got_vectors[file.data.path] = file.vector->record_count;
    ids[*file.data.first_row_id] = file.data.record_count;
  }
  EXPECT_EQ(got_data, data);
  EXPECT_EQ(got_vectors, vectors);
  int64_t next = 0;  // row ids are dense: every file begins where the one before it ends
  for (const auto& [first, rows] : ids) {
    EXPECT_EQ(first, next);
    next = first + rows;
  }
  EXPECT_EQ(next, metadata_.next_row_id);
}

TEST(MetadataTest, KeepsWhatItDoesNotKnow) {
  Json json = Json::parse(ReadFile(kGolden + "spark_v3/metadata.json"));
  json["encryption-keys"] = {{{"key-id", "k"}}};
  json["statistics"] = {{{"snapshot-id", 7}, {"statistics-path", "s"}}};
  json["snapshots"][1]["key-id"] = "k";
  json["schemas"][0]["fields"][1]["initial-default"] = "none";
  json["refs"]["main"]["max-ref-age-ms"] = 5;
  json["refs"]["tagged"] = {{"snapshot-id", json["snapshots"][0]["snapshot-id"]},
                            {"type", "tag"}};
  const Result<Metadata> metadata = ParseMetadata(json.dump());
  ASSERT_TRUE(metadata.ok()) << metadata.error().message;
  EXPECT_EQ(Json::parse(MetadataToJson(*metadata)), json);
  EXPECT_FALSE(WithSchema(*metadata, metadata->schema()).ok());
}

TEST(MetadataTest, NamesWhatIsWrong) {
  const std::string whole = ReadFile(kGolden + "spark_v2/metadata.json");
  EXPECT_EQ(ParseMetadata(whole.substr(0, whole.size() / 2)).error().code,
            Code::kCorrupt);
  for (const char* member :
       {"location", "schemas", "format-version", "last-sequence-number"}) {
    Json json = Json::parse(whole);
    json.erase(member);
    EXPECT_EQ(ParseMetadata(json.dump()).error().code, Code::kCorrupt) << member;
  }
  Json json = Json::parse(whole);
  json["format-version"] = 1;
  EXPECT_EQ(ParseMetadata(json.dump()).error().code, Code::kInvalid);
  json = Json::parse(whole);
  json["schemas"][0]["fields"][1]["type"] = "variant";
  EXPECT_THAT(ParseMetadata(json.dump()).error().message, testing::HasSubstr("variant"));
}

TEST(MetadataTest, RefusesValuesThatCannotBe) {
  const Json whole = Json::parse(ReadFile(kGolden + "spark_v2/metadata.json"));
  const auto refused = [&](const char* pointer, const Json& value) {
    Json json = whole;
    json[Json::json_pointer(pointer)] = value;
    const auto metadata = ParseMetadata(json.dump());
    EXPECT_FALSE(metadata.ok()) << pointer << " = " << value;
  };
  refused("/refs", Json::array());
  refused("/refs", "main");
  refused("/last-updated-ms", 1e300);
  refused("/last-updated-ms", int64_t{1} << 62);  // beyond 64 bits in microseconds
  refused("/snapshots/0/timestamp-ms", -(int64_t{1} << 62));
  refused("/snapshot-log/0/timestamp-ms", int64_t{1} << 62);
  refused("/last-column-id", int64_t{1} << 40);
  refused("/current-schema-id", 0.5);
  std::string deep = whole.dump();
  deep.insert(1, "\"x\":" + std::string(100'000, '[') + std::string(100'000, ']') + ",");
  EXPECT_THAT(ParseMetadata(deep).error().message, testing::HasSubstr("nested deeper"));
}

TEST(MetadataTest, FindsTheSnapshotOfATime) {
  Metadata metadata;
  for (int i = 1; i <= 3; ++i) {
    metadata.snapshots.push_back(
        {.id = {i}, .sequence_number = i, .timestamp = i * 1000});
    metadata.snapshot_log.push_back({i * 1000, {i}});
  }
  EXPECT_EQ(metadata.AsOf(999), nullptr);
  EXPECT_EQ(metadata.AsOf(1000)->id.value, 1);
  EXPECT_EQ(metadata.AsOf(2999)->id.value, 2);
  EXPECT_EQ(metadata.AsOf(99'999)->id.value, 3);
}

NewTable Sample() {
  NewTable table;
  table.location = "file:///w/db/t";
  table.format_version = 3;
  table.schema.fields = {{"id", Simple(Kind::kInt64), true},
                         {"name", Simple(Kind::kString)},
                         {"amount", data::Decimal(10, 2)},
                         {"where", data::StructOf({{"x", Simple(Kind::kFloat)}})},
                         {"tags", data::ListOf(Simple(Kind::kInt32))}};
  table.identifier = {"id"};
  return table;
}

TEST(MetadataTest, MakesATableWithIdsNamesAndOrders) {
  NewTable table = Sample();
  table.partition = {{1, 0, "", {TransformKind::kBucket, 16}},
                     {2, 0, "", {TransformKind::kIdentity, 0}}};
  table.sort = {{1, {}, true, false}};
  table.properties = {{"owner", "me"}};
  const Metadata metadata = MakeMetadata(table, 1'234'567);
  EXPECT_EQ(metadata.last_column_id, 7);
  EXPECT_EQ(metadata.schema().fields[3].type.fields[0].id, 6);
  EXPECT_EQ(metadata.schema().fields[4].type.fields[0].id, 7);
  EXPECT_EQ(metadata.identifier_field_ids.at(0), std::vector<int>{1});
  EXPECT_EQ(metadata.spec().fields[0].name, "id_bucket");
  EXPECT_EQ(metadata.spec().fields[1].field_id, 1001);
  EXPECT_EQ(metadata.last_partition_id, 1001);
  EXPECT_EQ(metadata.default_sort_order_id, 1);
  EXPECT_EQ(metadata.properties.at("write.metadata.delete-after-commit.enabled"), "true");
  EXPECT_EQ(metadata.properties.at("owner"), "me");
  const Json json = Json::parse(MetadataToJson(metadata));
  EXPECT_EQ(json["sort-orders"].size(), 2u);
  EXPECT_EQ(json["next-row-id"], 0);
  EXPECT_FALSE(json.contains("current-snapshot-id"));
  EXPECT_EQ(Json::parse(MetadataToJson(*ParseMetadata(json.dump()))), json);
}

TEST(MetadataTest, HasNoIdentifierOfOptionalColumns) {
  NewTable table = Sample();
  table.identifier = {"id", "name"};
  EXPECT_TRUE(MakeMetadata(table, 0).identifier_field_ids.empty());
}

TEST(SchemaChangeTest, AddsAndWidensAndKeepsIds) {
  Metadata metadata = MakeMetadata(Sample(), 0);
  metadata.snapshots.emplace_back();
  data::Schema wanted = Sample().schema;
  wanted.fields[2].type = data::Decimal(12, 2);
  wanted.fields[3].type.fields[0].type = Simple(Kind::kDouble);
  wanted.fields[3].type.fields.push_back({"y", Simple(Kind::kFloat)});
  wanted.fields[4].type.fields[0].type = Simple(Kind::kInt64);
  wanted.fields.push_back({"later", data::ListOf(Simple(Kind::kString))});
  const Result<Metadata> changed = WithSchema(metadata, wanted);
  ASSERT_TRUE(changed.ok()) << changed.error().message;
  EXPECT_EQ(changed->current_schema_id, 1);
  EXPECT_EQ(changed->schemas.size(), 2u);
  EXPECT_EQ(changed->schema().fields[2].id, 3);
  EXPECT_EQ(changed->schema().fields[3].type.fields[0].id, 6);
  EXPECT_EQ(changed->schema().fields[5].id, 8);
  EXPECT_EQ(changed->schema().fields[3].type.fields[1].id, 9);
  EXPECT_EQ(changed->last_column_id, 10);
  EXPECT_EQ(changed->identifier_field_ids.at(1), std::vector<int>{1});
  EXPECT_EQ(WithSchema(*changed, wanted)->schemas.size(),
            2u);  // no change, no new schema
}

TEST(SchemaChangeTest, RefusesWhatReadersCouldNotBear) {
  Metadata metadata = MakeMetadata(Sample(), 0);
  metadata.snapshots.emplace_back();
  const auto refused = [&](const std::function<void(data::Schema&)>& change) {
    data::Schema wanted = Sample().schema;
    change(wanted);
    const Result<Metadata> changed = WithSchema(metadata, wanted);
    return changed.ok() ? std::string("accepted") : changed.error().message;
  };
  using testing::HasSubstr;
  EXPECT_THAT(refused([](auto& s) { s.fields.pop_back(); }), HasSubstr("removed: tags"));
  EXPECT_THAT(refused([](auto& s) { s.fields[1].required = true; }),
              HasSubstr("required: name"));
  EXPECT_THAT(refused([](auto& s) { s.fields[0].type = Simple(Kind::kInt32); }),
              HasSubstr("id cannot change from long to int"));
  EXPECT_THAT(refused([](auto& s) { s.fields[2].type = data::Decimal(12, 3); }),
              HasSubstr("amount"));
  EXPECT_THAT(
      refused([](auto& s) { s.fields[3].type.fields[0].type = Simple(Kind::kString); }),
      HasSubstr("where.x"));
  EXPECT_THAT(refused([](auto& s) {
                s.fields.push_back({"new", Simple(Kind::kInt32), true});
              }),
              HasSubstr("optional: new"));
  EXPECT_THAT(refused([](auto& s) {
                s.fields.push_back({"ID", Simple(Kind::kInt64)});
              }),
              HasSubstr("same name"));
}

}  // namespace
}  // namespace weir::iceberg

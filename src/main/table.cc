// weir show table: what a table is, as every reader of Iceberg sees it.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>

#include "iceberg/table.h"
#include "main/inspect_internal.h"

namespace weir::main {
namespace {

using nlohmann::json;

// Properties that begin with the prefix, by what stands behind it.
json Tagged(const iceberg::Metadata& metadata, const std::string& prefix) {
  json out = json::object();
  for (const auto& [key, value] : metadata.properties) {
    if (key.starts_with(prefix)) out[key.substr(prefix.size())] = value;
  }
  return out;
}

std::string TagText(const json& tags) {
  std::vector<std::string> out;
  for (const auto& [name, value] : tags.items())
    out.push_back(fmt::format("{} = '{}'", name, value.get<std::string>()));
  return fmt::format("{}", fmt::join(out, ", "));
}

json Describe(const std::string& name, const iceberg::Metadata& metadata) {
  json columns = json::array(), partition = json::array(), order = json::array();
  const auto column_of = [&](int id) {
    for (const data::Field& field : metadata.schema().fields) {
      if (field.id == id) return field.name;
    }
    return fmt::format("field {}", id);
  };
  for (const data::Field& field : metadata.schema().fields) {
    columns.push_back(
        {{"name", field.name},
         {"type", data::TypeName(field.type)},
         {"comment", field.doc},
         {"tags", Tagged(metadata, "weir.column-tag." + field.name + ".")}});
  }
  for (const iceberg::PartitionField& field : metadata.spec().fields) {
    partition.push_back(fmt::format("{}({})", iceberg::TransformName(field.transform),
                                    column_of(field.source_id)));
  }
  if (const auto found = metadata.sort_orders.find(metadata.default_sort_order_id);
      found != metadata.sort_orders.end()) {
    for (const iceberg::SortField& field : found->second.fields)
      order.push_back(column_of(field.source_id));
  }
  const auto comment = metadata.properties.find("comment");
  return {{"table", name},
          {"comment", comment == metadata.properties.end() ? "" : comment->second},
          {"tags", Tagged(metadata, "weir.tag.")},
          {"format_version", metadata.format_version},
          {"location", metadata.location},
          {"partitioned_by", partition},
          {"clustered_by", order},
          {"columns", columns},
          {"properties", metadata.properties}};
}

void PrintText(const json& table) {
  const auto line = [](const char* what, const std::string& text) {
    if (!text.empty()) fmt::print("  {:<15}{}\n", what, text);
  };
  const auto list = [](const json& names) {
    return fmt::format("{}", fmt::join(names.get<std::vector<std::string>>(), ", "));
  };
  fmt::print("{}\n", table["table"].get<std::string>());
  line("comment", table["comment"].get<std::string>());
  line("tags", TagText(table["tags"]));
  line("partitioned by", list(table["partitioned_by"]));
  line("clustered by", list(table["clustered_by"]));
  line("location", table["location"].get<std::string>());
  std::vector<std::vector<std::string>> cells;
  for (const json& column : table["columns"]) {
    cells.push_back({column["name"].get<std::string>(), column["type"].get<std::string>(),
                     column["comment"].get<std::string>(), TagText(column["tags"])});
  }
  PrintTable({"column", "type", "comment", "tags"}, cells);
}

}  // namespace

int ShowTable(io::Io& io, const Options& options, const std::string& name) {
  if (name.empty())
    return Fail("show table needs a table: weir show table silver.trips", kWrongCall);
  auto catalog = OpenCatalog(io, options);
  if (!catalog.ok()) return Fail(catalog.error());
  const auto found = name.find('.') == std::string::npos
                         ? Result<std::optional<iceberg::TableRef>>(std::nullopt)
                         : (*catalog)->Find(data::LowerName(name));
  if (!found.ok()) return Fail(found.error());
  if (!*found)
    return Fail(fmt::format("there is no table {}; `weir ls` lists them", name),
                kWrongCall);
  const auto metadata = iceberg::ReadMetadata(io, (*found)->metadata_location);
  if (!metadata.ok()) return Fail(metadata.error());
  const json table = Describe((*found)->name, *metadata);
  if (options.format == Format::kJson)
    fmt::print("{}\n", table.dump(1));
  else
    PrintText(table);
  return kFine;
}

}  // namespace weir::main

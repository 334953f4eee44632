// The command line.
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "base/event.h"
#include "generate/generator.h"
#include "generate/rides.h"
#include "main/command.h"

namespace weir::main {
namespace {

constexpr const char* kAbout =
    "Weir takes events in, holds them to their contracts, and keeps bronze, silver and "
    "gold\n"
    "Iceberg tables correct and fresh while they arrive.\n\n"
    "A first look:   weir init my_project && weir run --once --project my_project\n";

// "a=b" pairs; the name is what stands before the first '='.
std::optional<std::pair<std::string, std::string>> Pair(const std::string& text) {
  const size_t equals = text.find('=');
  if (equals == std::string::npos || equals == 0) return std::nullopt;
  return std::pair(text.substr(0, equals), text.substr(equals + 1));
}

struct Arguments {
  Options options;
  RunFlags run;
  TagFlags tag;
  std::string format = "text";
  std::vector<std::string> sets, sources, select;
  bool once = false, verbose = false, analyze = false;
  std::string dir, template_name, sql, as_of, what, name, generator;
  generate::RidesOptions rides;
  std::string months;
};

void AddProject(CLI::App* app, Arguments& a) {
  app->add_option("--project", a.options.project,
                  "the project's folder, with its weir.yml")
      ->capture_default_str();
  app->add_option("--profile", a.options.profile,
                  "a profile of weir.yml whose configuration wins");
  app->add_option("--set", a.sets,
                  "one setting: --set weir.step.rows=1000 (may be repeated)")
      ->take_all();
}

void AddData(CLI::App* app, Arguments& a) {
  app->add_option("--data", a.options.data,
                  "the data directory (default: .weir in the project)");
}

void AddFormat(CLI::App* app, Arguments& a) {
  app->add_option("-o,--output", a.format, "how to print: text, json or csv")
      ->check(CLI::IsMember({"text", "json", "csv"}))
      ->capture_default_str();
}

void AddSources(CLI::App* app, Arguments& a) {
  app->add_option("--source", a.sources,
                  "read a source from other files: --source NAME=PATH (a file, folder, "
                  "glob, or name with {partition})")
      ->take_all();
}

// What the words of a wrong call may have meant.
std::string Suggestion(CLI::App& app, const std::vector<std::string>& words) {
  std::vector<std::string> verbs;
  CLI::App* verb = nullptr;
  for (CLI::App* sub : app.get_subcommands([](CLI::App*) { return true; })) {
    verbs.push_back(sub->get_name());
    if (!words.empty() && sub->get_name() == words[0]) verb = sub;
  }
  if (verb == nullptr) {
    const auto near = words.empty() ? std::nullopt : project::DidYouMean(words[0], verbs);
    return near ? fmt::format("did you mean `weir {}`?", *near)
                : fmt::format("the commands are {}", fmt::join(verbs, ", "));
  }
  std::vector<std::string> known;
  for (const CLI::Option* option : verb->get_options()) {
    for (const std::string& name : option->get_lnames()) known.push_back("--" + name);
  }
  for (const std::string& word : words) {
    if (!word.starts_with("--")) continue;
    const std::string flag = word.substr(0, word.find('='));
    if (std::find(known.begin(), known.end(), flag) != known.end()) continue;
    if (const auto near = project::DidYouMean(flag, known))
      return fmt::format("did you mean {}?", *near);
  }
  return fmt::format("see `weir {} --help`", verb->get_name());
}

int GenerateRides(io::Io& io, Arguments& a) {
  for (size_t from = 0; from < a.months.size();) {
    const size_t comma = std::min(a.months.find(',', from), a.months.size());
    a.rides.months.push_back(a.months.substr(from, comma - from));
    from = comma + 1;
  }
  const auto counts = generate::GenerateRides(io, a.rides, [](int64_t, int64_t) {});
  if (!counts.ok()) return Fail(counts.error());
  fmt::print(
      "{} events of {} trips in {}: {} accepted, {} rejected, {} duplicate, {} late\n",
      counts->received, counts->trips, a.rides.out, counts->accepted, counts->rejected,
      counts->duplicate, counts->late);
  return kFine;
}

int Generate(CLI::App& app, io::Io& io, Arguments& a) {
  if (a.generator == "rides") return GenerateRides(io, a);
  std::vector<std::string> names = {"rides"};
  for (const generate::Generator& generator : generate::Generators()) {
    names.emplace_back(generator.name);
    if (generator.name != a.generator) continue;
    for (const CLI::Option* option : app.get_options()) {
      const std::string name = option->get_name();
      if (option->count() > 0 && name != "NAME" && name != "--out" && name != "--scale" &&
          name != "--seed") {
        return Fail(fmt::format("{} is an option of rides; {} takes --out, --scale and "
                                "--seed",
                                name, a.generator),
                    kWrongCall);
      }
    }
    if (!(a.rides.scale > 0 && a.rides.scale <= 1'000'000))
      return Fail("--scale goes from above 0 to 1000000", kWrongCall);
    const auto written = generator.run(
        io, {.out = a.rides.out, .scale = a.rides.scale, .seed = a.rides.seed});
    if (!written.ok()) return Fail(written.error());
    fmt::print("{}\n", *written);
    return kFine;
  }
  const auto near = project::DidYouMean(a.generator, names);
  return Fail(near
                  ? fmt::format("no generator '{}'; did you mean {}?", a.generator, *near)
                  : fmt::format("no generator '{}'; there are {}", a.generator,
                                fmt::join(names, ", ")),
              kWrongCall);
}

int Dispatch(CLI::App& app, Arguments& a, io::Io& io) {
  const std::string verb = app.get_subcommands().front()->get_name();
  if (verb == "init") return Init(io, a.dir, a.template_name);
  if (verb == "check") return Check(io, a.options);
  if (verb == "run") {
    if (!a.once)
      return Fail(
          "`weir run` takes in what is there and ends: say --once. To keep running use "
          "`weir up`",
          kWrongCall);
    return RunOnce(io, a.options);
  }
  if (verb == "up") return Up(io, a.options, a.run);
  if (verb == "query") return RunQuery(io, a.options, a.sql, a.as_of);
  if (verb == "ls") return List(io, a.options);
  if (verb == "show") return Show(io, a.options, a.what, a.name);
  if (verb == "explain") return Explain(io, a.options, a.name, a.analyze);
  if (verb == "test") return Test(io, a.options, a.select);
  if (verb == "relocate") return Relocate(io, a.options);
  if (verb == "tag") return Tag(io, a.options, a.tag);
  return Generate(*app.get_subcommands().front(), io, a);
}

int Main(int argc, char** argv) {
  Arguments a;
  CLI::App app{kAbout, "weir"};
  app.require_subcommand(1);
  app.set_version_flag("--version", std::string("weir ") + WEIR_VERSION);
  app.add_flag("-v,--verbose", a.verbose,
               "write events of every kind to stderr, not only warnings");

  CLI::App* init = app.add_subcommand("init", "make a new project to begin from");
  init->add_option("DIR", a.dir, "the folder to make it in")->required();
  init->add_option("--template", a.template_name,
                   fmt::format("an example to start from instead of a small project: {}",
                               fmt::join(Templates(), ", ")));

  CLI::App* check =
      app.add_subcommand("check", "find every fault of a project: file, line and fix");
  AddProject(check, a);
  AddFormat(check, a);

  CLI::App* run = app.add_subcommand(
      "run", "take in what is there, bring every table up to date, and end");
  run->add_flag("--once", a.once, "one pass over the files that are there now");
  AddProject(run, a);
  AddData(run, a);
  AddSources(run, a);
  AddFormat(run, a);

  CLI::App* up = app.add_subcommand(
      "up", "keep running: HTTP gateway, folders watched, tables kept fresh");
  AddProject(up, a);
  AddData(up, a);
  AddSources(up, a);
  AddFormat(up, a);
  up->add_option("--address", a.run.address, "where the gateway listens")
      ->capture_default_str();
  up->add_option("--port", a.run.port, "its port; 0 takes a free one and prints it")
      ->check(CLI::Range(0, 65535))
      ->capture_default_str();

  CLI::App* query = app.add_subcommand(
      "query", "run SQL over the tables, also beside a running `weir up`");
  query
      ->add_option("SQL", a.sql,
                   "a SELECT; tables may say AS OF TIMESTAMP '…', AS OF VERSION n or AS "
                   "OF TAG '…'")
      ->required();
  query->add_option("--as-of", a.as_of,
                    "read all tables as they were at this time, or as they are in the "
                    "cut of a tag: tag:NAME");
  AddData(query, a);
  query
      ->add_option("--project", a.options.project,
                   "the project whose .weir is read when --data is not given")
      ->capture_default_str();
  AddFormat(query, a);

  CLI::App* ls =
      app.add_subcommand("ls", "list the tables with their rows, files and bytes");
  AddProject(ls, a);
  AddData(ls, a);
  AddFormat(ls, a);

  CLI::App* show = app.add_subcommand("show",
                                      "show ledger | models | epochs | state [MODEL] | "
                                      "sql MODEL | arrivals SOURCE | table TABLE | tags "
                                      "[TABLE]");
  show->add_option(
          "WHAT", a.what,
          "ledger: where every record went; models: lanes and versions; epochs: "
          "the last commits; state: what is kept to continue, by operator; sql: a "
          "model's completed SQL; arrivals: the files of a source; table: its columns, "
          "comments and tags; tags: named "
          "versions")
      ->required();
  show->add_option(
      "NAME", a.name,
      "the model, for sql and state; the source, for arrivals; the table, for "
      "tags");
  AddProject(show, a);
  AddData(show, a);
  AddFormat(show, a);

  CLI::App* explain =
      app.add_subcommand("explain", "how a model is kept up to date, and why so");
  explain->add_option("MODEL", a.name, "one model; all when left out");
  explain->add_flag("--analyze", a.analyze,
                    "with the rows, time and memory of each stage that the process at "
                    "work, or the last one, measured up to its last commit");
  AddProject(explain, a);
  AddData(explain, a);
  AddFormat(explain, a);

  CLI::App* test = app.add_subcommand(
      "test",
      "run the unit tests of the models: rows given and expected, in tests/*.yml");
  test->add_option("--select", a.select,
                   "only these: names of models, tests or files, with * for anything and "
                   "commas between")
      ->delimiter(',')
      ->take_all();
  AddProject(test, a);
  test->add_option("-o,--output", a.format, "how to print: text or json")
      ->check(CLI::IsMember({"text", "json"}))
      ->capture_default_str();

  CLI::App* relocate = app.add_subcommand(
      "relocate", "mend the tables of a data directory that was moved");
  AddData(relocate, a);
  relocate
      ->add_option("--project", a.options.project,
                   "the project whose .weir it is when --data is not given")
      ->capture_default_str();

  CLI::App* tag = app.add_subcommand(
      "tag", "name a version of tables, which keeps it; also beside a running `weir up`");
  tag->add_option("TABLES", a.tag.tables,
                  "gold.sessions, or several with commas between: one cut of them all")
      ->required();
  tag->add_option("NAME", a.tag.name, "the tag")->required();
  tag->add_option("--as-of", a.tag.as_of,
                  "a time, a version or tag:NAME; the present version when left out");
  tag->add_option("--retain", a.tag.retain,
                  "how old the version may get before it loses the tag, as '30 days'; "
                  "when left out it keeps it until it is deleted");
  tag->add_flag("--replace", a.tag.replace, "move the tag if the table has it already");
  tag->add_flag("--delete", a.tag.drop, "take the tag away");
  AddData(tag, a);
  tag->add_option("--project", a.options.project,
                  "the project whose .weir it is when --data is not given")
      ->capture_default_str();
  AddFormat(tag, a);

  CLI::App* generate = app.add_subcommand(
      "generate", "write an example's input and the right answer to it");
  std::vector<std::string> generators = {"rides"};
  for (const generate::Generator& generator : generate::Generators())
    generators.emplace_back(generator.name);
  generate
      ->add_option("NAME", a.generator,
                   fmt::format("the example: {}; the options below --seed are of rides",
                               fmt::join(generators, ", ")))
      ->required();
  generate->add_option("--out", a.rides.out, "the folder to write to")->required();
  generate
      ->add_option("--scale", a.rides.scale, "how much: of rides, trips per real trip")
      ->capture_default_str();
  generate->add_option("--seed", a.rides.seed, "another seed gives other dice")
      ->capture_default_str();
  generate->add_option("--months", a.months,
                       "months of real trips, as 2019-05,2019-06; all when left out");
  generate->add_option("--partitions", a.rides.partitions, "files, by trip")
      ->capture_default_str();
  generate
      ->add_option("--late", a.rides.late,
                   "share of events that come up to 40 hours late")
      ->capture_default_str();
  generate
      ->add_option("--parked", a.rides.parked, "share that comes two to four days late")
      ->capture_default_str();
  generate->add_option("--duplicate", a.rides.duplicate, "share delivered twice")
      ->capture_default_str();
  generate->add_option("--bad", a.rides.bad, "share broken on the way")
      ->capture_default_str();
  generate
      ->add_option("--returning", a.rides.returning, "share delivered again after days")
      ->capture_default_str();
  generate
      ->add_option("--conflict", a.rides.conflict,
                   "share delivered again with other content")
      ->capture_default_str();
  generate->add_option("--cancelled", a.rides.cancelled, "share of trips that end early")
      ->capture_default_str();
  generate
      ->add_option("--correct", a.rides.correct,
                   "share of trips with a corrected payment")
      ->capture_default_str();
  generate
      ->add_option("--hot-trip", a.rides.hot_trip,
                   "share of trips whose events all name one trip, t-hot")
      ->capture_default_str();
  generate->add_option("--hot-driver", a.rides.hot_driver, "share of trips of one driver")
      ->capture_default_str();
  generate->add_option(
      "--wide", a.rides.wide,
      "bytes of an event, filled with strings that the contract does not declare");

  try {
    app.parse(argc, argv);
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);
    return Fail(
        fmt::format("{}; {}", e.what(),
                    Suggestion(app, std::vector<std::string>(argv + 1, argv + argc))),
        kWrongCall);
  }
  if (a.verbose) SetEventSeverity(Severity::kInfo);
  a.options.format = a.format == "json"  ? Format::kJson
                     : a.format == "csv" ? Format::kCsv
                                         : Format::kText;
  project::Settings probe;
  for (const std::string& text : a.sets) {
    const auto pair = Pair(text);
    if (!pair)
      return Fail(fmt::format("--set {}: write --set KEY=VALUE", text), kWrongCall);
    if (Status fits = project::ApplySetting(probe, pair->first, pair->second);
        !fits.ok()) {
      return Fail(fmt::format("--set {}: {}", text, fits.error().message), kWrongCall);
    }
    a.options.sets.push_back(*pair);
  }
  for (const std::string& text : a.sources) {
    const auto pair = Pair(text);
    if (!pair)
      return Fail(fmt::format("--source {}: write --source NAME=PATH", text), kWrongCall);
    a.options.sources.insert(*pair);
  }
  const char* trace = std::getenv("WEIR_IO_TRACE");
  const std::unique_ptr<io::Io> io = io::NewPosixIo(trace == nullptr ? "" : trace);
  return Dispatch(app, a, *io);
}

}  // namespace
}  // namespace weir::main

// Batches come and go by the megabyte: memory that goes back to the kernel between them
// must be cleared page by page when it returns, which cost a fifth of the CPU time of
// ingestion (docs/performance.md). So jemalloc keeps it for ten seconds, also large
// pieces, and Arrow's buffers come from there, too.
extern "C" {
__attribute__((visibility("default"))) const char* malloc_conf =
    "oversize_threshold:268435456,narenas:3,dirty_decay_ms:10000,muzzy_decay_ms:0";
}

int main(int argc, char** argv) {
  setenv("ARROW_DEFAULT_MEMORY_POOL", "system", /*overwrite=*/0);
  try {
    return weir::main::Main(argc, argv);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "weir: bug: %s\n", e.what());
    return weir::main::kFailed;
  }
}

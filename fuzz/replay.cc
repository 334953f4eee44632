// Runs kept inputs through the fuzz drivers, in an ordinary build.
//
//   fuzz_replay            names the drivers
//   fuzz_replay CORPUS     CORPUS/NAME/* through driver NAME, for each NAME
//   fuzz_replay NAME FILE… these inputs through one driver
//
// Ends with 0 when every driver had inputs and returned for all of them. An input that
// ends the process is named.
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <memory>
#include <vector>

#include "fuzz/fuzz.h"

// A sanitizer's, when one is compiled in: it ends the process without a signal.
extern "C" __attribute__((weak)) void __sanitizer_set_death_callback(void (*)());

namespace weir::fuzz {
namespace {

namespace fs = std::filesystem;

std::map<std::string, Driver>& Drivers() {
  static std::map<std::string, Driver> drivers;
  return drivers;
}

char current[4096];  // the input that is running, for the signal handler

void NameInput() {
  constexpr char kText[] = "\nfuzz_replay: this input ended the process: ";
  if (write(STDERR_FILENO, kText, sizeof kText - 1) < 0 ||
      write(STDERR_FILENO, current, std::strlen(current)) < 0 ||
      write(STDERR_FILENO, "\n", 1) < 0) {
  }
}

void OnSignal(int signal) {
  NameInput();
  std::signal(signal, SIG_DFL);
  std::raise(signal);
}

void RunFile(Driver driver, const fs::path& file) {
  std::ifstream in(file, std::ios::binary);
  if (!in) {
    std::fprintf(stderr, "fuzz_replay: cannot read %s\n", file.c_str());
    std::exit(1);
  }
  const std::string bytes(std::istreambuf_iterator<char>(in), {});
  std::snprintf(current, sizeof current, "%s", file.c_str());
  // A copy without room behind it, so that a sanitizer sees a read beyond the end.
  const auto exact = std::make_unique<char[]>(bytes.size());
  bytes.copy(exact.get(), bytes.size());
  driver({exact.get(), bytes.size()});
}

int ReplayCorpus(const fs::path& corpus) {
  int drivers = 0, without = 0;
  size_t inputs = 0;
  for (const auto& [name, driver] : Drivers()) {
    std::vector<fs::path> files;
    if (fs::is_directory(corpus / name)) {
      for (const auto& entry : fs::directory_iterator(corpus / name))
        files.push_back(entry.path());
    }
    std::sort(files.begin(), files.end());
    for (const fs::path& file : files) RunFile(driver, file);
    std::printf("%-16s %zu inputs\n", name.c_str(), files.size());
    inputs += files.size();
    ++drivers;
    if (files.empty()) ++without;
  }
  for (const auto& entry : fs::directory_iterator(corpus)) {
    if (Drivers().contains(entry.path().filename())) continue;
    std::fprintf(stderr, "fuzz_replay: %s belongs to no driver\n", entry.path().c_str());
    ++without;
  }
  if (without > 0) std::fprintf(stderr, "fuzz_replay: a driver has no inputs\n");
  std::printf("%zu inputs of %d drivers\n", inputs, drivers);
  return without > 0 ? 1 : 0;
}

int Main(int argc, char** argv) {
  if (&__sanitizer_set_death_callback != nullptr) {
    __sanitizer_set_death_callback(NameInput);
  } else {
    for (const int signal : {SIGABRT, SIGSEGV, SIGFPE, SIGBUS, SIGILL})
      std::signal(signal, OnSignal);
  }
  if (argc == 1) {
    for (const auto& [name, driver] : Drivers()) std::puts(name.c_str());
    return 0;
  }
  if (argc == 2 && fs::is_directory(argv[1])) return ReplayCorpus(argv[1]);
  const auto found = Drivers().find(argv[1]);
  if (found == Drivers().end() || argc == 2) {
    std::fprintf(stderr, "usage: fuzz_replay CORPUS | fuzz_replay NAME FILE…\n");
    return 2;
  }
  for (int i = 2; i < argc; ++i) RunFile(found->second, argv[i]);
  std::printf("%d inputs\n", argc - 2);
  return 0;
}

}  // namespace

bool Register(const char* name, Driver driver) {
  return Drivers().emplace(name, driver).second;
}

}  // namespace weir::fuzz

int main(int argc, char** argv) { return weir::fuzz::Main(argc, argv); }

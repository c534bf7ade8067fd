// Runs the native tests: powerinfer_native_test [--list] [part of a name].
#include <cstdio>
#include <cstring>
#include <exception>

#include "../cpu/error.h"
#include "test.h"

namespace powerinfer_test {
namespace {

struct Running {
  const char* name = nullptr;
  uint32_t failure_count = 0;
  bool skipped = false;
  std::string where;
};
Running running;

}  // namespace

std::vector<Case>& cases() {
  static std::vector<Case> all;
  return all;
}

void fail(const char* file, int line, const std::string& what) {
  constexpr uint32_t kShown = 10;  // a broken kernel fails thousands of checks
  if (++running.failure_count <= kShown) std::printf("FAILED %s\n  %s:%d: %s%s%s\n", running.name, file, line, running.where.c_str(), running.where.empty() ? "" : ": ", what.c_str());
}

void note(const std::string& where) { running.where = where; }

void skip(const std::string& why) {
  running.skipped = true;
  std::printf("skipped %s: %s\n", running.name, why.c_str());
}

}  // namespace powerinfer_test

int main(int argument_count, char** arguments) {
  using namespace powerinfer_test;
  const char* filter = argument_count > 1 ? arguments[1] : "";
  if (std::strcmp(filter, "--list") == 0) {
    for (const Case& test : cases()) std::printf("%s\n", test.name);
    return 0;
  }
  uint32_t passed = 0, failed = 0, skipped = 0;
  for (const Case& test : cases()) {
    if (!std::strstr(test.name, filter)) continue;
    running = {test.name, 0, false, {}};
    try {
      test.body();
    } catch (const powerinfer::Failure& failure) {
      fail(test.name, 0, std::string("failed: ") + failure.state);
    } catch (const std::exception& error) {
      fail(test.name, 0, std::string("threw ") + error.what());
    }
    (running.failure_count != 0 ? failed : running.skipped ? skipped : passed) += 1;
  }
  std::printf("%u passed, %u failed, %u skipped\n", passed, failed, skipped);
  return failed != 0 || passed + skipped == 0;
}

// How native tests are written and counted: TEST("a sentence") { CHECK(…); CHECK_EQUAL(a, b); }
#pragma once
#include <cmath>
#include <cstdint>
#include <functional>
#include <sstream>
#include <string>
#include <vector>

namespace powerinfer_test {

struct Case {
  const char* name;
  void (*body)();
};

// The registry and the state of the running case.
std::vector<Case>& cases();
void fail(const char* file, int line, const std::string& what);
// What the running case is at, printed with its failures.
void note(const std::string& where);
// Marks the running case as skipped; return from it afterwards.
void skip(const std::string& why);

struct Registration {
  Registration(const char* name, void (*body)()) { cases().push_back({name, body}); }
};

template <class T>
std::string shown(const T& value) {
  std::ostringstream text;
  text.precision(9);
  if constexpr (sizeof(T) == 1) text << static_cast<int>(value);
  else text << value;
  return text.str();
}

// A seeded generator whose sequence is the same everywhere (splitmix64).
class Random {
 public:
  explicit Random(uint64_t seed) : state_(seed) {}
  uint64_t bits() {
    uint64_t z = state_ += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
  }
  uint32_t below(uint32_t bound) { return static_cast<uint32_t>((bits() >> 32) * bound >> 32); }
  float uniform(float low, float high) { return low + (high - low) * static_cast<float>(bits() >> 40) * 0x1p-24f; }

 private:
  uint64_t state_;
};

}  // namespace powerinfer_test

#define TEST_JOINED(a, b) a##b
#define TEST_NAME(a, b) TEST_JOINED(a, b)
#define TEST(name)                                                                                                          \
  static void TEST_NAME(test_body_, __LINE__)();                                                                            \
  static const ::powerinfer_test::Registration TEST_NAME(test_registration_, __LINE__)(name, TEST_NAME(test_body_, __LINE__)); \
  static void TEST_NAME(test_body_, __LINE__)()

#define CHECK(condition) \
  ((condition) ? void() : ::powerinfer_test::fail(__FILE__, __LINE__, #condition))
#define CHECK_EQUAL(actual, expected)                                                                                     \
  do {                                                                                                                    \
    const auto& check_a = (actual);                                                                                       \
    const auto& check_e = (expected);                                                                                     \
    if (!(check_a == check_e))                                                                                            \
      ::powerinfer_test::fail(__FILE__, __LINE__, #actual " is " + ::powerinfer_test::shown(check_a) + ", not " + ::powerinfer_test::shown(check_e)); \
  } while (0)
// |actual - expected| <= tolerance; false for NaN.
#define CHECK_NEAR(actual, expected, tolerance)                                                                           \
  do {                                                                                                                    \
    const double check_a = (actual), check_e = (expected), check_t = (tolerance);                                         \
    if (!(std::abs(check_a - check_e) <= check_t))                                                                        \
      ::powerinfer_test::fail(__FILE__, __LINE__, #actual " is " + ::powerinfer_test::shown(check_a) + ", not within " +  \
                                                      ::powerinfer_test::shown(check_t) + " of " + ::powerinfer_test::shown(check_e)); \
  } while (0)

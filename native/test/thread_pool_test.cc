// Goal: every chunk of every loop runs exactly once before run() returns, whatever the number of threads, cores and callers.
// Method: count. Built with -fsanitize=thread the same cases show that no access is unordered.
#include "../cpu/thread_pool.h"
#include <atomic>
#include <chrono>
#include <thread>
#if defined(__linux__)
#include <sched.h>
#endif
#include "test.h"

using namespace powerinfer;
using namespace powerinfer_test;

namespace {

void check_loops(uint32_t threads, uint32_t repetitions) {
  ThreadPool pool(threads);
  CHECK_EQUAL(pool.thread_count(), threads);
  for (uint32_t i = 0; i < repetitions; ++i)
    for (const uint32_t chunks : {0u, 1u, 2u, 3u, 1000u}) {
      std::vector<uint32_t> runs(chunks);  // written without atomics: each by one thread, read after the loop
      std::vector<uint8_t> numbers(chunks);
      pool.for_each(chunks, [&](uint32_t chunk, uint32_t thread) {
        ++runs[chunk];
        numbers[chunk] = static_cast<uint8_t>(thread);
      });
      for (uint32_t chunk = 0; chunk < chunks; ++chunk) {
        CHECK_EQUAL(runs[chunk], 1u);
        CHECK(numbers[chunk] < threads);
      }
    }
}

}  // namespace

TEST("ThreadPool runs every chunk once, with 1, 2, 3 and 8 threads") {
  for (const uint32_t threads : {1u, 2u, 3u, 8u}) check_loops(threads, 50);
}

TEST("ThreadPool survives 100000 tiny loops with 2 threads and 5000 with 8") {
  for (const uint32_t threads : {2u, 8u}) {
    ThreadPool pool(threads);
    uint64_t total[3] = {};
    const uint32_t loops = threads == 2 ? 100000 : 5000;
    for (uint32_t i = 0; i < loops; ++i) pool.for_each(3, [&](uint32_t chunk, uint32_t) { total[chunk] += i; });
    for (const uint64_t sum : total) CHECK_EQUAL(sum, uint64_t{loops} * (loops - 1) / 2);
  }
}

TEST("ThreadPool wakes workers that sleep, and a caller that sleeps") {
  ThreadPool pool(3);
  for (uint32_t i = 0; i < 30; ++i) {
    std::this_thread::sleep_for(std::chrono::microseconds(300));  // beyond the spin: the workers sleep
    std::atomic<uint32_t> done{0};
    pool.for_each(3, [&](uint32_t chunk, uint32_t) {
      if (chunk == 2) std::this_thread::sleep_for(std::chrono::microseconds(300));  // now the caller does
      done.fetch_add(1);
    });
    CHECK_EQUAL(done.load(), 3u);
  }
}

TEST("ThreadPool counts every chunk once when workers give their core up in the middle of a loop") {
  for (const uint32_t threads : {2u, 8u}) {
    ThreadPool pool(threads);
    for (uint32_t i = 0; i < 5; ++i) {
      constexpr uint32_t kChunks = 40;
      uint32_t runs[kChunks] = {};  // not atomic: read after the loop
      pool.for_each(kChunks, [&](uint32_t chunk, uint32_t) {
        if (chunk % 8 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(3));  // longer than a worker's turn
        ++runs[chunk];
      });
      for (const uint32_t count : runs) CHECK_EQUAL(count, 1u);
    }
  }
}

#if defined(__linux__)
TEST("ThreadPool keeps workers off the caller's core, and on the cores the caller may use") {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0 || CPU_COUNT(&allowed) < 2) return skip("this process may use one core only");
  ThreadPool pool(2);
  uint32_t checked = 0;
  for (uint32_t i = 0; i < 1000 && checked < 20; ++i) {
    const int before = sched_getcpu();
    cpu_set_t workers;
    std::atomic<uint32_t> arrived{0};
    pool.for_each(2, [&](uint32_t, uint32_t thread) {
      arrived.fetch_add(1);
      while (arrived.load() < 2) std::this_thread::yield();
      if (thread == 1) sched_getaffinity(0, sizeof workers, &workers);
    });
    if (sched_getcpu() != before) continue;  // the caller moved: nothing is known about this loop
    ++checked;
    CHECK(!CPU_ISSET(before, &workers));
    cpu_set_t both;
    CPU_AND(&both, &workers, &allowed);
    CHECK(CPU_EQUAL(&both, &workers));
    CHECK_EQUAL(CPU_COUNT(&workers), CPU_COUNT(&allowed) - 1);
  }
  CHECK(checked > 0);
}

TEST("ThreadPool leaves workers alone where there are not enough cores for them beside the caller's") {
  cpu_set_t allowed;
  if (sched_getaffinity(0, sizeof allowed, &allowed) != 0) return skip("the cores of this process are not known");
  const uint32_t threads = static_cast<uint32_t>(CPU_COUNT(&allowed)) + 1;
  ThreadPool pool(threads);
  std::atomic<uint32_t> restricted{0}, arrived{0};
  pool.for_each(threads, [&](uint32_t, uint32_t) {
    arrived.fetch_add(1);
    while (arrived.load() < threads) std::this_thread::yield();
    cpu_set_t mine;
    if (sched_getaffinity(0, sizeof mine, &mine) != 0 || !CPU_EQUAL(&mine, &allowed)) restricted.fetch_add(1);
  });
  CHECK_EQUAL(restricted.load(), 0u);
}
#endif

TEST("ThreadPool uses its workers: two chunks that wait for each other both finish") {
  ThreadPool pool(2);
  for (uint32_t i = 0; i < 100; ++i) {
    std::atomic<uint32_t> arrived{0};
    pool.for_each(2, [&](uint32_t, uint32_t) {
      arrived.fetch_add(1);
      while (arrived.load() < 2) std::this_thread::yield();
    });
  }
}

TEST("ThreadPool runs loops of several callers one after another") {
  ThreadPool pool(2);
  std::vector<std::thread> callers;
  uint32_t loops_done = 0;  // not atomic: only one loop runs at a time, and chunk 0 of each counts it
  for (uint32_t caller = 0; caller < 3; ++caller)
    callers.emplace_back([&] {
      for (uint32_t i = 0; i < 200; ++i)
        pool.for_each(4, [&](uint32_t chunk, uint32_t) { if (chunk == 0) ++loops_done; });
    });
  for (std::thread& caller : callers) caller.join();
  CHECK_EQUAL(loops_done, 600u);
}

TEST("ThreadPool runs a loop started inside a chunk on the spot") {
  ThreadPool pool(2);
  std::vector<uint32_t> runs(20);
  pool.for_each(4, [&](uint32_t outer, uint32_t thread) {
    pool.for_each(5, [&](uint32_t inner, uint32_t inner_thread) {
      runs[outer * 5 + inner] += 1;
      CHECK_EQUAL(inner_thread, thread);
    });
  });
  for (const uint32_t count : runs) CHECK_EQUAL(count, 1u);
}

TEST("ThreadPool joins its threads when it goes, asleep or awake") {
  for (uint32_t i = 0; i < 20; ++i) {
    ThreadPool pool(8);
    if (i % 2) pool.for_each(100, [](uint32_t, uint32_t) {});
    if (i % 4 == 0) std::this_thread::sleep_for(std::chrono::milliseconds(1));
  }
}

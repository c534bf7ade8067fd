// Which core does the caller of a loop compute on? Its workers keep off it.
#pragma once
#include <thread>
#include <vector>

namespace powerinfer {

// A scheduler that is short of cores puts a waking worker on the caller's core as readily as on any other, and leaves it there: two threads on
// one core, and another process alone on the second. Told to keep off, the worker shares its core with that process and the caller has its own.
// On two cores with one busy process, decode with two threads was slower than with one; now it is a tenth faster (docs/measurements.md).
class CallerCore {
 public:
  // To be called by the caller before each loop: some 20 ns, and one system call a worker after the caller has moved. Threads are restricted
  // to cores that the caller itself may use. Does nothing where that leaves fewer cores than workers, or where the system cannot be told.
  void clear(std::vector<std::thread>& workers);

 private:
  int core_ = -1;  // the last one seen
};

}  // namespace powerinfer

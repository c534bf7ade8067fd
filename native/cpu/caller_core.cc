// Which core does the caller of a loop compute on? Its workers keep off it.
#include "caller_core.h"

#if defined(__linux__)
#include <pthread.h>
#include <sched.h>
#endif

namespace powerinfer {

#if defined(__linux__)

void CallerCore::clear(std::vector<std::thread>& workers) {
  const int core = sched_getcpu();
  if (core < 0 || core == core_) return;
  core_ = core;
  cpu_set_t others;
  if (sched_getaffinity(0, sizeof others, &others) != 0) return;  // more than 1024 cores do not fit the set
  CPU_CLR(core, &others);
  if (static_cast<size_t>(CPU_COUNT(&others)) < workers.size()) return;
  // A refusal leaves the worker where the scheduler wants it, which is only slower.
  for (std::thread& worker : workers) pthread_setaffinity_np(worker.native_handle(), sizeof others, &others);
}

#else

void CallerCore::clear(std::vector<std::thread>&) {}

#endif

}  // namespace powerinfer

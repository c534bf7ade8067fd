// A function on a stack of its own, which can stop in the middle and go on later.
#include "fiber.h"

#include <sys/mman.h>

#include <cstdint>
#include <cstring>
#include <new>

#include "address_checker.h"
#include "race_detector.h"

#if CUDA_SIM_TSAN
extern "C" {
void* __tsan_get_current_fiber();
void* __tsan_create_fiber(unsigned flags);
void __tsan_destroy_fiber(void* fiber);
void __tsan_switch_to_fiber(void* fiber, unsigned flags);
}
#define WITHOUT_THREAD_SANITIZER __attribute__((no_sanitize_thread))
#else
#define WITHOUT_THREAD_SANITIZER
#endif

// Pushes the registers that a callee must keep, stores the stack pointer to *saved, continues with `loaded`.
extern "C" void cuda_sim_switch_stacks(void** saved, void* loaded);

#if defined(__x86_64__)
__asm__(R"(
.text
.globl cuda_sim_switch_stacks
.hidden cuda_sim_switch_stacks
.type cuda_sim_switch_stacks, @function
cuda_sim_switch_stacks:
  pushq %rbp
  pushq %rbx
  pushq %r12
  pushq %r13
  pushq %r14
  pushq %r15
  movq %rsp, (%rdi)
  movq %rsi, %rsp
  popq %r15
  popq %r14
  popq %r13
  popq %r12
  popq %rbx
  popq %rbp
  ret
.size cuda_sim_switch_stacks, .-cuda_sim_switch_stacks
)");
#elif defined(__aarch64__)
__asm__(R"(
.text
.globl cuda_sim_switch_stacks
.hidden cuda_sim_switch_stacks
.type cuda_sim_switch_stacks, %function
cuda_sim_switch_stacks:
  sub sp, sp, #160
  stp x19, x20, [sp, #0]
  stp x21, x22, [sp, #16]
  stp x23, x24, [sp, #32]
  stp x25, x26, [sp, #48]
  stp x27, x28, [sp, #64]
  stp x29, x30, [sp, #80]
  stp d8, d9, [sp, #96]
  stp d10, d11, [sp, #112]
  stp d12, d13, [sp, #128]
  stp d14, d15, [sp, #144]
  mov x9, sp
  str x9, [x0]
  mov sp, x1
  ldp x19, x20, [sp, #0]
  ldp x21, x22, [sp, #16]
  ldp x23, x24, [sp, #32]
  ldp x25, x26, [sp, #48]
  ldp x27, x28, [sp, #64]
  ldp x29, x30, [sp, #80]
  ldp d8, d9, [sp, #96]
  ldp d10, d11, [sp, #112]
  ldp d12, d13, [sp, #128]
  ldp d14, d15, [sp, #144]
  add sp, sp, #160
  ret
.size cuda_sim_switch_stacks, .-cuda_sim_switch_stacks
)");
#else
#error "The CUDA simulator switches stacks on x86-64 and AArch64 only"
#endif

namespace cuda_sim {
namespace {

constexpr size_t kGuardBytes = 4096;
// Sanitizers put red zones around locals and call deeper.
constexpr size_t kStackBytes = (CUDA_SIM_ASAN || CUDA_SIM_TSAN ? 256 : 64) * 1024;

thread_local Fiber* beginning = nullptr;

// The stack as cuda_sim_switch_stacks would have left it on the first line of `first`.
void* first_stack_pointer(char* top, void (*first)()) {
#if defined(__x86_64__)
  constexpr size_t kFrameBytes = 64, kReturnAt = 48;  // six registers, where to return, and the eight bytes that a call would have pushed
#else
  constexpr size_t kFrameBytes = 160, kReturnAt = 88;
#endif
  char* const frame = top - kFrameBytes;
  std::memset(frame, 0, kFrameBytes);
  std::memcpy(frame + kReturnAt, &first, sizeof first);
  return frame;
}

}  // namespace

Fiber::Fiber(void (*entry)(void*), void* context) : entry_(entry), context_(context) {
  void* const mapped = mmap(nullptr, kGuardBytes + kStackBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (mapped == MAP_FAILED) throw std::bad_alloc();
  mapping_ = static_cast<char*>(mapped);
  stack_ = mapping_ + kGuardBytes;
  mprotect(mapping_, kGuardBytes, PROT_NONE);
  stack_pointer_ = first_stack_pointer(stack_ + kStackBytes, begin);
#if CUDA_SIM_TSAN
  thread_state_ = __tsan_create_fiber(0);
#endif
}

Fiber::~Fiber() {
#if CUDA_SIM_TSAN
  __tsan_destroy_fiber(thread_state_);
#endif
  munmap(mapping_, kGuardBytes + kStackBytes);
}

WITHOUT_THREAD_SANITIZER void Fiber::begin() {
  Fiber* const self = beginning;
#if CUDA_SIM_ASAN
  __sanitizer_finish_switch_fiber(nullptr, &self->owner_stack_, &self->owner_stack_bytes_);
#endif
  self->entry_(self->context_);
  __builtin_unreachable();
}

// Flag 1: to ThreadSanitizer neither side waits for the other. That two threads of a kernel take turns orders nothing.
WITHOUT_THREAD_SANITIZER void Fiber::resume() {
  beginning = this;
#if CUDA_SIM_TSAN
  owner_thread_state_ = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(thread_state_, 1);
#endif
#if CUDA_SIM_ASAN
  __sanitizer_start_switch_fiber(&owner_fake_stack_, stack_, kStackBytes);
#endif
  cuda_sim_switch_stacks(&owner_stack_pointer_, stack_pointer_);
#if CUDA_SIM_ASAN
  __sanitizer_finish_switch_fiber(owner_fake_stack_, nullptr, nullptr);
#endif
}

WITHOUT_THREAD_SANITIZER void Fiber::suspend() {
#if CUDA_SIM_TSAN
  __tsan_switch_to_fiber(owner_thread_state_, 1);
#endif
#if CUDA_SIM_ASAN
  __sanitizer_start_switch_fiber(&fake_stack_, owner_stack_, owner_stack_bytes_);
#endif
  cuda_sim_switch_stacks(&stack_pointer_, owner_stack_pointer_);
#if CUDA_SIM_ASAN
  __sanitizer_finish_switch_fiber(fake_stack_, &owner_stack_, &owner_stack_bytes_);
#endif
}

}  // namespace cuda_sim

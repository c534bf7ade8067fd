// How does a matrix come into memory of its own?
#include "resident.h"

#include <sys/mman.h>

#include <algorithm>
#include <cstddef>
#include <cstring>
#include <iterator>
#include <new>
#include <utility>

#include "../quant/formats.h"
#include "kernels.h"

namespace powerinfer {
namespace {

// The blocks whose scale is two bytes between runs of four.
struct PanelFormat {
  uint32_t type;
  uint32_t block_bytes;
  uint32_t half_at;  // block_bytes: there is none
};

constexpr PanelFormat kFormats[] = {
    {Q8_0, sizeof(BlockQ8_0), offsetof(BlockQ8_0, d)},
    {Q4_0, sizeof(BlockQ4_0), offsetof(BlockQ4_0, d)},
    {Q4_K, sizeof(BlockQ4_K), sizeof(BlockQ4_K)},
    {Q6_K, sizeof(BlockQ6_K), offsetof(BlockQ6_K, d)},
    {G2, sizeof(BlockG2), offsetof(BlockG2, d)},
    {G3, sizeof(BlockG3), offsetof(BlockG3, d)},
};

const PanelFormat* format_of(uint32_t type) {
  const PanelFormat* found = std::find_if(std::begin(kFormats), std::end(kFormats), [&](const PanelFormat& f) { return f.type == type; });
  return found == std::end(kFormats) ? nullptr : found;
}

// Units of one field: kUnit bytes of each row in turn.
template <uint32_t kUnit>
void interleave(const uint8_t* const (&rows)[8], uint64_t begin, uint64_t end, uint8_t* panel) {
  for (uint64_t at = begin; at < end; at += kUnit)
    for (uint32_t r = 0; r < 8; ++r) std::memcpy(panel + 8 * at + r * kUnit, rows[r] + at, kUnit);
}

}  // namespace

ResidentMemory::~ResidentMemory() {
  for (const Slab& slab : slabs_) ::munmap(slab.begin, slab.size_bytes);
}

uint8_t* ResidentMemory::take(uint64_t size_bytes) {
  constexpr uint64_t kSlabBytes = 256u << 20, kHugePage = 2u << 20;
  const uint64_t needed = (size_bytes + 63) / 64 * 64;
  if (needed > left_bytes_) {
    const uint64_t usable = std::max(kSlabBytes, (needed + kHugePage - 1) / kHugePage * kHugePage);
    slabs_.reserve(slabs_.size() + 1);
    void* const memory = ::mmap(nullptr, usable + kHugePage, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (memory == MAP_FAILED) throw std::bad_alloc();
    slabs_.push_back({static_cast<uint8_t*>(memory), usable + kHugePage});
    next_ = reinterpret_cast<uint8_t*>((reinterpret_cast<uintptr_t>(memory) + kHugePage - 1) / kHugePage * kHugePage);
    left_bytes_ = usable;
#if defined(MADV_HUGEPAGE)
    ::madvise(next_, usable, MADV_HUGEPAGE);
#endif
  }
  left_bytes_ -= needed;
  return std::exchange(next_, next_ + needed);
}

bool has_panels(uint32_t type) { return format_of(type) != nullptr; }

uint64_t panels_bytes(uint64_t row_bytes, uint32_t rows) { return row_bytes * ((uint64_t{rows} + 7) / 8 * 8); }

void write_panels(ThreadPool& pool, uint32_t type, const uint8_t* from, uint64_t row_bytes, uint32_t rows, uint8_t* to) {
  const PanelFormat& format = *format_of(type);
  pool.for_each((rows + 7) / 8, [&](uint32_t panel, uint32_t) {
    const uint8_t* of_panel[8];
    for (uint32_t r = 0; r < 8; ++r) of_panel[r] = from + std::min(panel * 8 + r, rows - 1) * row_bytes;
    uint8_t* const out = to + uint64_t{panel} * 8 * row_bytes;
    for (uint64_t block = 0; block < row_bytes; block += format.block_bytes) {
      interleave<4>(of_panel, block, block + format.half_at, out);
      if (format.half_at == format.block_bytes) continue;
      interleave<2>(of_panel, block + format.half_at, block + format.half_at + 2, out);
      interleave<4>(of_panel, block + format.half_at + 2, block + format.block_bytes, out);
    }
  });
}

}  // namespace powerinfer

// Goal: a handle never names an object it was not made for, for as long as the process lives.
// Method: one slot opened and closed through all of its generations.
#include "../cpu/handles.h"

#include <set>

#include "test.h"

namespace powerinfer_test {
namespace {

using powerinfer::Failure;
using powerinfer::HandleTable;

TEST("HandleTable: 200,000 openings give 200,000 handles, none of them 0") {
  HandleTable<int> table(0, "number");
  std::set<uint32_t> handles;
  for (int i = 0; i < 200000; ++i) {
    const uint32_t handle = table.add(std::make_shared<int>(i));
    handles.insert(handle);
    const std::shared_ptr<int> found = table.get(handle), removed = table.remove(handle);
    CHECK_EQUAL(*found, i);
    CHECK(removed == found);
  }
  CHECK_EQUAL(handles.size(), size_t{200000});
  CHECK_EQUAL(handles.count(0), size_t{0});
}

TEST("HandleTable: says when all slots are taken") {
  HandleTable<int> table(7, "number");
  uint32_t last = 0;
  for (int i = 0; i < 1 << 13; ++i) last = table.add(std::make_shared<int>(i));
  powerinfer_status status = POWERINFER_OK;
  try {
    table.add(std::make_shared<int>(0));
  } catch (const Failure& failure) {
    status = failure.status;
  }
  CHECK_EQUAL(status, powerinfer_status{POWERINFER_OUT_OF_MEMORY});
  table.remove(last);
  CHECK(table.add(std::make_shared<int>(1)) != last);
}

TEST("HandleTable: an object outlives its handle while somebody uses it") {
  HandleTable<int> table(1, "number");
  const uint32_t handle = table.add(std::make_shared<int>(7));
  const std::shared_ptr<int> held = table.get(handle);
  table.remove(handle);
  CHECK_EQUAL(*held, 7);
}

}  // namespace
}  // namespace powerinfer_test

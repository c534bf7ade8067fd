// How do calls cross the C boundary? Handles are looked up, arguments checked, and every failure becomes a status, in abi_*.cc alone.
#pragma once
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <system_error>

#include "error.h"
#include "file.h"
#include "handles.h"
#include "limits.h"
#include "model.h"

namespace powerinfer {

// The handles of this process. Never destroyed: threads may still call while the process exits.
HandleTable<MappedFile>& files();
HandleTable<Cpu>& cpus();
HandleTable<Model>& models();
HandleTable<Cache>& caches();

// Runs the body of an ABI function: whatever it throws becomes a status and "Cannot <action>: <state>".
template <class Body>
powerinfer_status guarded(const char* action, Body&& body) noexcept {
  try {
    body();
    return POWERINFER_OK;
  } catch (const Failure& failure) {
    remember_error(action, failure.state);
    return failure.status;
  } catch (const std::bad_alloc&) {
    remember_error(action, "no memory is left");
    return POWERINFER_OUT_OF_MEMORY;
  } catch (const std::system_error& error) {  // a thread could not be started
    remember_error(action, error.what());
    return POWERINFER_OUT_OF_MEMORY;
  } catch (const std::exception& error) {
    remember_error(action, error.what());
    return POWERINFER_UNSUPPORTED;
  }
}

// The object a pointer names. Fails with INVALID_ARGUMENT if it is NULL.
template <class T>
T& required(T* pointer, const char* name) {
  if (pointer == nullptr) fail(POWERINFER_INVALID_ARGUMENT, "%s is NULL", name);
  return *pointer;
}

// The same for structs that carry their size: another size means another version of the header.
template <class T>
T& required_struct(T* pointer, const char* name) {
  T& value = required(pointer, name);
  if (value.struct_size != sizeof(T)) {
    fail(POWERINFER_INVALID_ARGUMENT, "%s.struct_size is %u, this library's is %zu; use its header", name, value.struct_size, sizeof(T));
  }
  return value;
}

// A path of `length` bytes. Fails with INVALID_ARGUMENT if it is NULL, empty, too long or holds a NUL.
std::string checked_path(const char* path, uint32_t length);

// A byte count or offset. Fails with INVALID_ARGUMENT if it is not a whole number from 0 to 2^53.
uint64_t checked_bytes(double value, const char* name);

// Fails with INVALID_ARGUMENT for a size or a type that no cache has.
void check_cache(uint32_t position_count, uint32_t cache_type);

}  // namespace powerinfer

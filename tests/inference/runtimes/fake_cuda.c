// A stand-in for libcuda.so.1 whose device is the host's memory.
// What is put on a stream runs at once, except while a capture records it; the one kernel is the
// package's own source, compiled for the host. Build with -x c++.
#include <dlfcn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

struct Index { unsigned x, y, z; };
static Index blockIdx, threadIdx, blockDim, gridDim;
#define __global__
#include "append_kv.cu"
#undef __global__

enum { OK = 0, INVALID_VALUE = 1, OUT_OF_MEMORY = 2, NO_DEVICE = 100, INVALID_CONTEXT = 201,
       NOT_FOUND = 500, CAPTURE_INVALID = 900 };
typedef unsigned long long Pointer;
struct Copy2D {  // CUDA_MEMCPY2D
  size_t srcX, srcY; unsigned srcType; const void *srcHost; Pointer src; void *srcArray; size_t srcPitch;
  size_t dstX, dstY; unsigned dstType; void *dstHost; Pointer dst; void *dstArray; size_t dstPitch;
  size_t width, height;
};
struct Launch { Index grid, block; unsigned char arguments[64]; };
struct Work { int kind; void *to; const void *from; size_t size; Copy2D copy; Launch launch; Work *next; };

static int devices = 2, init_code = OK, architecture = 89, alive;
static const size_t memory = 1 << 24;
static size_t used;
static __thread int has_context;
static int capturing;
static Work *recorded, **tail = &recorded;

#define API extern "C" int
extern "C" void fake_reset() {
  devices = 2; init_code = OK; architecture = 89; alive = 0; used = 0;
}
extern "C" void fake_set_devices(int count) { devices = count; }
extern "C" void fake_set_init(int code) { init_code = code; }
extern "C" void fake_set_architecture(int sm) { architecture = sm; }
extern "C" int fake_alive() { return alive; }

static void launch(const Launch &one) {
  void **tables[2]; const int *slots; int tokens, head_slots, words;
  memcpy(&tables, one.arguments, 16); memcpy(&slots, one.arguments + 16, 8);
  memcpy(&tokens, one.arguments + 24, 4); memcpy(&head_slots, one.arguments + 28, 4);
  memcpy(&words, one.arguments + 32, 4);
  gridDim = one.grid; blockDim = one.block;
  for (blockIdx.z = 0; blockIdx.z < gridDim.z; blockIdx.z++)
    for (blockIdx.y = 0; blockIdx.y < gridDim.y; blockIdx.y++)
      for (blockIdx.x = 0; blockIdx.x < gridDim.x; blockIdx.x++)
        for (threadIdx.x = 0; threadIdx.x < blockDim.x; threadIdx.x++)
          append_kv((unsigned *const *)tables[0], (const unsigned *const *)tables[1], slots,
                    tokens, head_slots, words);
}
static void run(const Work &work) {
  const Copy2D &copy = work.copy;
  switch (work.kind) {
    case 0: memmove(work.to, work.from, work.size); break;
    case 1: memset(work.to, 0, work.size); break;
    case 2:
      for (size_t band = 0; band < copy.height; band++)
        memmove((char *)copy.dst + band * copy.dstPitch, (char *)copy.src + band * copy.srcPitch, copy.width);
      break;
    case 3: launch(work.launch); break;
    case 4: ((void (*)(void *))work.to)(nullptr); break;
  }
}
static int submit(const Work &work) {
  if (!has_context) return INVALID_CONTEXT;
  if (!capturing) { run(work); return OK; }
  *tail = new Work(work); (*tail)->next = nullptr; tail = &(*tail)->next;
  return OK;
}

API cuInit(unsigned) { return devices ? init_code : NO_DEVICE; }
API cuDriverGetVersion(int *version) { *version = 13020; return OK; }
API cuDeviceGetCount(int *count) { *count = devices; return OK; }
API cuDeviceGet(int *device, int index) { *device = index; return index < devices ? OK : INVALID_VALUE; }
API cuDeviceGetName(char *name, int size, int device) { snprintf(name, size, "Fake L4 %d", device); return OK; }
API cuDeviceTotalMem_v2(size_t *bytes, int) { *bytes = memory; return OK; }
API cuDeviceGetAttribute(int *value, int attribute, int) {
  *value = attribute == 75 ? architecture / 10 : architecture % 10;
  return attribute == 75 || attribute == 76 ? OK : INVALID_VALUE;
}
API cuGetErrorString(int code, const char **text) {
  *text = code == 803 ? "system has unsupported display driver / cuda driver combination" : nullptr;
  return *text ? OK : INVALID_VALUE;
}
API cuDevicePrimaryCtxRetain(void **context, int) { *context = &devices; return OK; }
API cuDevicePrimaryCtxRelease_v2(int) { return OK; }
API cuCtxSetCurrent(void *context) { has_context = context != nullptr; return OK; }
API cuMemGetInfo_v2(size_t *left, size_t *total) { *left = memory - used; *total = memory; return OK; }
API cuMemAlloc_v2(Pointer *pointer, size_t size) {
  if (!has_context) return INVALID_CONTEXT;
  if (used + size > memory) return OUT_OF_MEMORY;
  size_t *block; if (posix_memalign((void **)&block, 256, size + 256)) return OUT_OF_MEMORY;
  *block = size; used += size; alive++;
  memset((char *)block + 256, 0xAA, size);  // fresh memory is not zero
  *pointer = (Pointer)block + 256; return OK;
}
API cuMemFree_v2(Pointer pointer) {
  size_t *block = (size_t *)(pointer - 256); used -= *block; alive--; free(block); return OK;
}
API cuMemHostAlloc(void **pointer, size_t size, unsigned) { *pointer = malloc(size); alive++; return OK; }
API cuMemFreeHost(void *pointer) { free(pointer); alive--; return OK; }
API cuMemcpyHtoDAsync_v2(Pointer to, const void *from, size_t size, void *) {
  return submit({0, (void *)to, from, size});
}
API cuMemcpyDtoHAsync_v2(void *to, Pointer from, size_t size, void *) {
  return submit({0, to, (void *)from, size});
}
API cuMemsetD8Async(Pointer to, unsigned char, size_t size, void *) {
  return submit({1, (void *)to, nullptr, size});
}
API cuMemcpy2DAsync_v2(const Copy2D *copy, void *) {
  if (copy->srcType != 2 || copy->dstType != 2) return INVALID_VALUE;
  Work work = {2}; work.copy = *copy; return submit(work);
}
API cuStreamCreate(void **stream, unsigned) { *stream = malloc(1); alive++; return OK; }
API cuStreamDestroy_v2(void *stream) { free(stream); alive--; return OK; }
API cuStreamSynchronize(void *) { return capturing ? CAPTURE_INVALID : OK; }
API cuStreamBeginCapture_v2(void *, int) { capturing = 1; return OK; }
API cuStreamEndCapture(void *, Work **graph) {
  capturing = 0; *graph = recorded; recorded = nullptr; tail = &recorded; return OK;
}
API cuGraphInstantiateWithFlags(Work ***ready, Work *graph, Pointer) {
  *ready = (Work **)malloc(sizeof graph); **ready = graph; alive++; return OK;
}
API cuGraphDestroy(Work *) { return OK; }
API cuGraphLaunch(Work **ready, void *) {
  for (Work *work = *ready; work; work = work->next) submit(*work);
  return OK;
}
API cuGraphExecDestroy(Work **ready) { free(ready); alive--; return OK; }
API cuGetExportTable(const void **table, const void *) { *table = nullptr; return NOT_FOUND; }
API cuLaunchHostFunc(void *, void *function, void *) { return submit({4, function}); }
API cuModuleLoadData(void **module, const void *image) {
  *module = &devices; return memcmp(image, "\x7f" "ELF", 4) ? INVALID_VALUE : OK;
}
API cuModuleGetFunction(void **function, void *, const char *name) {
  *function = (void *)&append_kv; return strcmp(name, "append_kv") ? NOT_FOUND : OK;
}
API cuLaunchKernel(void *, unsigned gx, unsigned gy, unsigned gz, unsigned bx, unsigned by, unsigned bz,
                   unsigned, void *, void **arguments, void **) {
  static const int sizes[] = {8, 8, 8, 4, 4, 4};
  Work work = {3}; work.launch.grid = {gx, gy, gz}; work.launch.block = {bx, by, bz};
  for (int i = 0, at = 0; i < 6; at += sizes[i++]) memcpy(work.launch.arguments + at, arguments[i], sizes[i]);
  return submit(work);
}

// NVIDIA's own bindings ask for each function by its plain name.
API cuGetProcAddress_v2(const char *name, void **function, int, Pointer, int *status) {
  static void *self;
  Dl_info info;
  if (!self && dladdr((void *)&cuInit, &info)) self = dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD);
  char wanted[128];
  const char *suffixes[] = {"_v2", "WithFlags", ""};
  *function = nullptr;
  for (int i = 0; i < 3 && !*function; i++) {
    snprintf(wanted, sizeof wanted, "%s%s", name, suffixes[i]);
    *function = dlsym(self, wanted);
  }
  if (status) *status = *function ? 0 : 1;
  return *function ? OK : NOT_FOUND;
}

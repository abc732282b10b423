/* A small libnvidia-ml for the tests: two GPUs by default, with switches for what can go wrong.
 *
 * Built with -DOLD_DRIVER it lacks the calls that older drivers lack.
 * In another process the number of GPUs comes from FAKE_NVML_GPUS.
 */
#include <stdlib.h>
#include <string.h>
#include <stdio.h>

enum {
    OK = 0, UNINITIALIZED = 1, INVALID = 2, NOT_SUPPORTED = 3, DRIVER_NOT_LOADED = 9,
    GPU_IS_LOST = 15
};

typedef struct { int index; } device;
typedef struct { unsigned gpu, memory; } utilization;
typedef struct { unsigned long long total, free, used; } memory_v1;
typedef struct { unsigned version; unsigned long long total, reserved, free, used; } memory_v2;
typedef struct { unsigned version, sensor; int celsius; } temperature;
typedef struct {
    char legacy[16];
    unsigned domain, bus, slot, id, subsystem;
    char bus_id[32];
} pci;
typedef struct {
    unsigned field, scope;
    long long timestamp, latency;
    unsigned type;
    int result;
    unsigned long long value;
} field_value;

static device devices[16];
static int count = -1, lost = -1, driver_loaded = 1, has_energy = 1, has_links = 1;

void fake_reset(void) { count = 2; lost = -1; driver_loaded = 1; has_energy = 1; has_links = 1; }
void fake_set_count(int value) { count = value; }
void fake_lose(int index) { lost = index; }
void fake_set_driver_loaded(int value) { driver_loaded = value; }
void fake_set_energy(int value) { has_energy = value; }
void fake_set_links(int value) { has_links = value; }

static int check(device *of) { return of->index == lost ? GPU_IS_LOST : OK; }

const char *nvmlErrorString(int result) {
    return result == DRIVER_NOT_LOADED ? "Driver Not Loaded" : "Fake Error";
}

int nvmlInitWithFlags(unsigned flags) {
    const char *wanted = getenv("FAKE_NVML_GPUS");
    (void)flags;
    if (count < 0) count = wanted ? atoi(wanted) : 2;
    return driver_loaded ? OK : DRIVER_NOT_LOADED;
}

int nvmlShutdown(void) { return OK; }

int nvmlDeviceGetCount_v2(unsigned *out) {
    *out = (unsigned)count;
    return driver_loaded ? OK : DRIVER_NOT_LOADED;
}

int nvmlDeviceGetHandleByIndex_v2(unsigned index, device **out) {
    if ((int)index >= count) return INVALID;
    devices[index].index = (int)index;
    *out = &devices[index];
    return check(*out);
}

int nvmlDeviceGetUUID(device *of, char *out, unsigned size) {
    snprintf(out, size, "GPU-fake-%d", of->index);
    return check(of);
}

int nvmlDeviceGetName(device *of, char *out, unsigned size) {
    snprintf(out, size, "Fake \"H100\"");
    return check(of);
}

int nvmlDeviceGetMinorNumber(device *of, unsigned *out) {
    *out = (unsigned)of->index + 4;
    return check(of);
}

int nvmlDeviceGetPciInfo_v3(device *of, pci *out) {
    memset(out, 0, sizeof *out);
    snprintf(out->bus_id, sizeof out->bus_id, "00000000:%02X:00.0", 0x3B + of->index);
    return check(of);
}

int nvmlDeviceGetUtilizationRates(device *of, utilization *out) {
    out->gpu = 61;
    out->memory = 0;
    return check(of);
}

int nvmlDeviceGetMemoryInfo(device *of, memory_v1 *out) {
    out->total = 81920ULL << 20;
    out->used = 12288ULL << 20; /* what the driver reserved counts as used */
    out->free = out->total - out->used;
    return check(of);
}

int nvmlDeviceGetPowerUsage(device *of, unsigned *milliwatts) {
    *milliwatts = 351250;
    return check(of);
}

int nvmlDeviceGetTotalEnergyConsumption(device *of, unsigned long long *millijoules) {
    *millijoules = 5000000001ULL;
    return has_energy ? check(of) : NOT_SUPPORTED;
}

int nvmlDeviceGetClockInfo(device *of, int kind, unsigned *megahertz) {
    *megahertz = kind == 2 ? 2619 : 1980;
    return check(of);
}

int nvmlDeviceGetPcieReplayCounter(device *of, unsigned *out) {
    *out = 3;
    return check(of);
}

int nvmlDeviceGetTemperature(device *of, int sensor, unsigned *celsius) {
    (void)sensor;
    *celsius = 55;
    return check(of);
}

#ifndef OLD_DRIVER
int nvmlDeviceGetTemperatureV(device *of, temperature *out) {
    out->celsius = 56;
    return check(of);
}

int nvmlDeviceGetMemoryInfo_v2(device *of, memory_v2 *out) {
    out->total = 81920ULL << 20;
    out->reserved = 2048ULL << 20;
    out->used = 10240ULL << 20;
    out->free = out->total - out->reserved - out->used;
    return check(of);
}

int nvmlDeviceGetFieldValues(device *of, int size, field_value *out) {
    for (int i = 0; i < size; i++) {
        out[i].type = 3; /* unsigned long long */
        out[i].result = has_links && out[i].scope == 0xFFFFFFFFu ? OK : NOT_SUPPORTED;
        out[i].value = 1000000ULL; /* KiB */
    }
    return check(of);
}
#endif

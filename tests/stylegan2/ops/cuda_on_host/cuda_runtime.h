// SPDX-License-Identifier: GPL-3.0-or-later
// The part of CUDA's header that fused.cu needs, for running its kernels on a CPU: the blocks run one
// after the other, and each thread of a block is a context that yields at __syncthreads().
#pragma once

#include <ucontext.h>

#include <functional>
#include <memory>
#include <vector>

#define __global__ static
#define __device__ static
#define __shared__ static

struct dim3 {
    unsigned x, y, z;
    dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
};

enum cudaError_t { cudaSuccess, cudaErrorInvalidDevice = 101 };
typedef void *cudaStream_t;

struct cudaLaunchConfig_t {
    dim3 gridDim, blockDim;
    size_t dynamicSmemBytes;
    cudaStream_t stream;
};

static dim3 threadIdx, blockIdx, blockDim, gridDim;

namespace on_host {

const size_t STACK_BYTES = 64 * 1024;

struct Thread {
    ucontext_t context;
    dim3 index;
    bool is_done = false;
    std::unique_ptr<char[]> stack{new char[STACK_BYTES]};
};

static ucontext_t scheduler;
static Thread *current;
static std::function<void()> kernel;

inline void run_thread() {
    kernel();
    current->is_done = true;
}

inline void run_block() {
    std::vector<Thread> threads(blockDim.x * blockDim.y * blockDim.z);
    for (unsigned i = 0; i < threads.size(); ++i) {
        Thread &thread = threads[i];
        thread.index = {i % blockDim.x, i / blockDim.x % blockDim.y, i / blockDim.x / blockDim.y};
        getcontext(&thread.context);
        thread.context.uc_stack.ss_sp = thread.stack.get();
        thread.context.uc_stack.ss_size = STACK_BYTES;
        thread.context.uc_link = &scheduler;
        makecontext(&thread.context, run_thread, 0);
    }
    // Every thread runs to its next barrier before any thread continues after it.
    for (bool is_any = true; is_any;) {
        is_any = false;
        for (Thread &thread : threads) {
            if (thread.is_done) continue;
            current = &thread;
            threadIdx = thread.index;
            swapcontext(&scheduler, &thread.context);
            is_any = true;
        }
    }
}

} // namespace on_host

inline void __syncthreads() { swapcontext(&on_host::current->context, &on_host::scheduler); }

inline cudaError_t cudaSetDevice(int device) {
    return device ? cudaErrorInvalidDevice : cudaSuccess;
}

template <typename... Parameters, typename... Arguments>
cudaError_t cudaLaunchKernelEx(const cudaLaunchConfig_t *config, void (*kernel)(Parameters...),
                               Arguments &&...arguments) {
    gridDim = config->gridDim;
    blockDim = config->blockDim;
    on_host::kernel = [&] { kernel(arguments...); };
    for (unsigned block = 0; block < gridDim.x * gridDim.y * gridDim.z; ++block) {
        blockIdx = {block % gridDim.x, block / gridDim.x % gridDim.y, block / gridDim.x / gridDim.y};
        on_host::run_block();
    }
    return cudaSuccess;
}

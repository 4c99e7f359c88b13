// SPDX-License-Identifier: GPL-3.0-or-later
// The steps of Winograd's algorithm along one axis, for many channels. Each step is a separate loop
// that every compiler can vectorise; few compilers vectorise one loop over a whole tile.
#pragma once

#include "elements.h"

#ifdef _MSC_VER
#define EACH_CHANNEL __pragma(loop(ivdep)) for (int c = 0; c < channels; ++c)
#define EACH(count) __pragma(loop(ivdep)) for (size_t i = 0; i < (count); ++i)
#else
#define EACH_CHANNEL _Pragma("omp simd") for (int c = 0; c < channels; ++c)
#define EACH(count) _Pragma("omp simd") for (size_t i = 0; i < (count); ++i)
#endif

const int MOST_CHANNELS = 64;

struct Rows {
    float row[4][4][MOST_CHANNELS];
};

FUSED_INLINE void line_from_inputs(const float *a, const float *b, const float *d, const float *e,
                             float *p, float *q, float *r, float *s, int channels) {
    EACH_CHANNEL {
        const Four m = from_inputs(a[c], b[c], d[c], e[c]);
        p[c] = m.a;
        q[c] = m.b;
        r[c] = m.c;
        s[c] = m.d;
    }
}

// Adds to the results, because tiles overlap.
FUSED_INLINE void add_line_to_inputs(const float *a, const float *b, const float *d, const float *e,
                               float *p, float *q, float *r, float *s, int channels) {
    EACH_CHANNEL {
        const Four m = to_inputs({a[c], b[c], d[c], e[c]});
        p[c] += m.a;
        q[c] += m.b;
        r[c] += m.c;
        s[c] += m.d;
    }
}

FUSED_INLINE void line_to_inputs(const float *a, const float *b, const float *d, const float *e,
                           float *p, float *q, float *r, float *s, int channels) {
    EACH_CHANNEL {
        const Four m = to_inputs({a[c], b[c], d[c], e[c]});
        p[c] = m.a;
        q[c] = m.b;
        r[c] = m.c;
        s[c] = m.d;
    }
}

FUSED_INLINE void line_to_outputs(const float *a, const float *b, const float *d, const float *e,
                            float *p, float *q, int channels) {
    EACH_CHANNEL {
        const Two y = to_outputs(a[c], b[c], d[c], e[c]);
        p[c] = y.a;
        q[c] = y.b;
    }
}

FUSED_INLINE void line_from_outputs(const float *a, const float *b, float *p, float *q, float *r,
                              float *s, int channels) {
    EACH_CHANNEL {
        const Four m = from_outputs(a[c], b[c]);
        p[c] = m.a;
        q[c] = m.b;
        r[c] = m.c;
        s[c] = m.d;
    }
}

/*
 * powerinfer_train.h: the part of libpowerinfer that learns. Valid C11 and C++17; the rules of powerinfer.h hold here too.
 */
#ifndef POWERINFER_TRAIN_H
#define POWERINFER_TRAIN_H

#include "powerinfer.h"

#ifdef __cplusplus
extern "C" {
#endif

enum {
  POWERINFER_GEMM_A_B = 0,  /* c = a · b,  a f32[rows, depth], b f32[depth, columns] */
  POWERINFER_GEMM_A_BT = 1, /* c = a · bᵀ, a f32[rows, depth], b f32[columns, depth] */
  POWERINFER_GEMM_AT_B = 2  /* c = aᵀ · b, a f32[depth, rows], b f32[depth, columns] */
};
/*
 * A product of row-major matrices, c f32[rows, columns], on all threads of `cpu`; strides are floats from one row to the next. With `adds` 1, c is added to and
 * not replaced. A sum's terms are added one after another, so the result depends on the instruction set, and not on the number of threads.
 */
POWERINFER_API powerinfer_status powerinfer_gemm_f32(uint32_t cpu, uint32_t form, uint32_t rows, uint32_t columns, uint32_t depth, const float* a,
                                                     uint32_t a_stride, const float* b, uint32_t b_stride, uint32_t adds, float* c, uint32_t c_stride);

/*
 * A trainer of two thin matrices that guess which neurons fire: scores = fc2 · g(fc1 · x) + bias, by AdamW on weighted cross-entropy. Everything begins at 0.
 * Results depend on the instruction set, and not on the number of threads.
 */
typedef struct powerinfer_trainer_options {
  uint32_t struct_size; /* sizeof(powerinfer_trainer_options) */
  uint32_t hidden_width;
  uint32_t rank;
  uint32_t ffn_width;
  uint32_t row_count_max; /* of a step */
  uint32_t relu;          /* g: 1 relu, 0 nothing */
  float beta1;            /* AdamW's, each at least 0 and below 1 */
  float beta2;
  float epsilon;      /* above 0 */
  float weight_decay; /* of the matrices, 0 or more */
} powerinfer_trainer_options;

enum {
  POWERINFER_TRAINER_FC1 = 0, /* f32[rank, hidden_width] */
  POWERINFER_TRAINER_FC2 = 1, /* f32[ffn_width, rank] */
  POWERINFER_TRAINER_BIAS = 2 /* f32[ffn_width] */
};

POWERINFER_API powerinfer_status powerinfer_trainer_open(uint32_t cpu, const powerinfer_trainer_options* options, uint32_t* trainer);
/* `count` must be that of the part. What AdamW remembers of earlier steps stays. */
POWERINFER_API powerinfer_status powerinfer_trainer_write(uint32_t trainer, uint32_t part, const float* values, uint32_t count);
POWERINFER_API powerinfer_status powerinfer_trainer_read(uint32_t trainer, uint32_t part, float* values, uint32_t count);
/*
 * One step on some rows of a body of data.
 *
 *   hidden   f32[data_row_count, hidden_width]
 *   codes    u8[data_row_count, ffn_width]: 0 for a neuron that was silent, else it fired
 *   rows     u32[row_count], each < data_row_count; 1 to row_count_max of them
 *   weights  f32[256]: how much a code counts
 *   loss     the mean over rows and neurons, before the step
 */
POWERINFER_API powerinfer_status powerinfer_trainer_step(uint32_t trainer, const float* hidden, const uint8_t* codes, uint32_t data_row_count,
                                                         const uint32_t* rows, uint32_t row_count, const float* weights, float rate, double* loss);
/* The scores of hidden f32[row_count, hidden_width]: f32[row_count, ffn_width]. */
POWERINFER_API powerinfer_status powerinfer_trainer_scores(uint32_t trainer, const float* hidden, uint32_t row_count, float* scores);
POWERINFER_API powerinfer_status powerinfer_trainer_close(uint32_t trainer);

#ifdef __cplusplus
}
#endif

#endif

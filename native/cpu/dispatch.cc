// Which kernel runs on which machine.
#include "../include/powerinfer.h"
#include "kernels.h"
#include "kernels/variants.h"

namespace powerinfer {
namespace {

// Instruction sets, the best last. Every list of kernels below has these columns.
constexpr uint32_t kIsaCount = 4;
constexpr uint32_t kIsas[kIsaCount] = {POWERINFER_ISA_SCALAR, POWERINFER_ISA_AVX2, POWERINFER_ISA_AVX512, POWERINFER_ISA_AVX512_VNNI};

#if POWERINFER_X86
#define ISAS(scalar, avx2, avx512, vnni) {scalar, avx2, avx512, vnni}
#else
#define ISAS(scalar, avx2, avx512, vnni) {scalar, scalar, scalar, scalar}
#endif

struct TypeRow {
  Type type;
  uint32_t block_weights, block_bytes;
  Form form;
  DequantizeKernel dequantize;
  MatmulKernel matmul[kIsaCount];
  AccumulateKernel accumulate[kIsaCount];
  AccumulateKernel accumulate_repacked[kIsaCount];
};

#define PLAIN(type, E) \
  {type, 1, E::kBytes, Form::kValues, dequantize_float<E>, \
   ISAS(matmul_float_scalar<E>,     matmul_float_avx2<E>,     matmul_float_avx512<E>,     matmul_float_avx512<E>), \
   ISAS(accumulate_float_scalar<E>, accumulate_float_avx2<E>, accumulate_float_avx512<E>, accumulate_float_avx512<E>), \
   ISAS(accumulate_float_scalar<E>, accumulate_float_avx2<E>, accumulate_float_avx512<E>, accumulate_float_avx512<E>)}

#define BLOCKS(type, B, form, matmul, repacked) \
  {type, B::kWeights, sizeof(B), form, dequantize_blocks<B>, matmul, \
   ISAS(accumulate_dequantized_scalar<B>, accumulate_dequantized_avx2<B>, accumulate_dequantized_avx2<B>, accumulate_dequantized_avx2<B>), \
   repacked}

// These multiply codes: without VNNI, 512-bit registers gain nothing over AVX2 there.
#define CODED(type, B, form) \
  BLOCKS(type, B, form, ISAS(matmul_codes_scalar<B>, matmul_codes_avx2<B>, matmul_codes_avx2<B>, matmul_codes_vnni<B>), \
         ISAS(accumulate_codes_scalar<B>, accumulate_codes_avx2<B>, accumulate_codes_avx2<B>, accumulate_codes_avx2<B>))
// These have no kernel of their own: decoded block by block.
#define DECODED(type, B) \
  BLOCKS(type, B, Form::kValues, ISAS(matmul_dequantized_scalar<B>, matmul_dequantized_avx2<B>, matmul_dequantized_avx2<B>, matmul_dequantized_avx2<B>), \
         ISAS(accumulate_repacked_scalar<B>, accumulate_repacked_avx2<B>, accumulate_repacked_avx2<B>, accumulate_repacked_avx2<B>))

// Types of our own: only multiplied.
#define MULTIPLIED(type, B) \
  {type, B::kWeights, sizeof(B), Form::kBytes, dequantize_blocks<B>, \
   ISAS(matmul_codes_scalar<B>, matmul_codes_avx2<B>, matmul_codes_avx2<B>, matmul_codes_vnni<B>), {}, {}}

const TypeRow kTypes[] = {
    PLAIN(F32, ElementF32),
    PLAIN(F16, ElementF16),
    PLAIN(BF16, ElementBF16),
    CODED(Q8_0, BlockQ8_0, Form::kWords),
    CODED(Q4_0, BlockQ4_0, Form::kBytes),
    CODED(Q4_K, BlockQ4_K, Form::kBytes),
    CODED(Q6_K, BlockQ6_K, Form::kBytes),
    DECODED(Q4_1, BlockQ4_1),
    DECODED(Q5_0, BlockQ5_0),
    DECODED(Q5_1, BlockQ5_1),
    DECODED(Q2_K, BlockQ2_K),
    DECODED(Q3_K, BlockQ3_K),
    DECODED(Q5_K, BlockQ5_K),
    MULTIPLIED(G2, BlockG2),
    MULTIPLIED(G3, BlockG3),
};

const QuantizeBytesKernel kQuantizeBytes[kIsaCount] = ISAS(quantize_bytes_scalar, quantize_bytes_avx2, quantize_bytes_avx2, quantize_bytes_avx2);
const QuantizeWordsKernel kQuantizeWords[kIsaCount] = ISAS(quantize_words_scalar, quantize_words_avx2, quantize_words_avx2, quantize_words_avx2);
const ConvertToF16Kernel kConvertToF16[kIsaCount] = ISAS(convert_to_f16_scalar, convert_to_f16_avx2, convert_to_f16_avx2, convert_to_f16_avx2);
const SignDistancesKernel kSignDistances[kIsaCount] = ISAS(sign_distances_scalar, sign_distances_avx2, sign_distances_avx2, sign_distances_avx2);
const MarkAboveKernel kMarkAbove[kIsaCount] = ISAS(mark_above_scalar, mark_above_avx2, mark_above_avx2, mark_above_avx2);
// The AVX2 variant serves AVX-512 machines too: a span is converted once for four queries, and nobody has measured a wider one.
#define ATTEND(E) ISAS(attend_span_scalar<E>, attend_span_avx2<E>, attend_span_avx2<E>, attend_span_avx2<E>)
const AttendSpanKernel kAttendSpan[kCacheTypeCount][kIsaCount] = {ATTEND(ElementF16), ATTEND(ElementF32), ATTEND(ElementQ8_0)};

bool supported(uint32_t isa) {
#if POWERINFER_X86
  // __builtin_cpu_supports asks the operating system too: it is false where the wide registers are not saved.
  const bool avx2 = __builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma") && __builtin_cpu_supports("f16c");
  const bool avx512 = avx2 && __builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") && __builtin_cpu_supports("avx512vl") &&
                      __builtin_cpu_supports("avx512dq");
  if (isa == POWERINFER_ISA_AVX2) return avx2;
  if (isa == POWERINFER_ISA_AVX512) return avx512;
  if (isa == POWERINFER_ISA_AVX512_VNNI) return avx512 && __builtin_cpu_supports("avx512vnni");
#endif
  return isa == POWERINFER_ISA_SCALAR;
}

// The table of one instruction set, by its position in kIsas.
Kernels table(uint32_t isa) {
  Kernels kernels{};
  for (const TypeRow& row : kTypes) {
    kernels.matmul[row.type] = row.matmul[isa];
    kernels.form[row.type] = row.form;
    kernels.accumulate[row.type] = row.accumulate[isa];
    kernels.accumulate_repacked[row.type] = row.accumulate_repacked[isa];
    kernels.dequantize[row.type] = row.dequantize;
  }
  kernels.reads_panels = kIsas[isa] != POWERINFER_ISA_SCALAR;
  kernels.quantize_bytes = kQuantizeBytes[isa];
  kernels.quantize_words = kQuantizeWords[isa];
  for (uint32_t type = 0; type < kCacheTypeCount; ++type) kernels.attend_span[type] = kAttendSpan[type][isa];
  kernels.rms_norm = rms_norm;
  kernels.layer_norm = layer_norm;
  kernels.convert_to_f16 = kConvertToF16[isa];
  kernels.mark_above = kMarkAbove[isa];
  kernels.sign_distances = kSignDistances[isa];
#if POWERINFER_X86
  // Some machines with AVX-512 lack the instruction.
  if (kIsas[isa] >= POWERINFER_ISA_AVX512 && __builtin_cpu_supports("avx512vpopcntdq")) kernels.sign_distances = sign_distances_popcount;
#endif
  return kernels;
}

}  // namespace

const Kernels* kernels_for(uint32_t& isa) {
  static const Kernels tables[kIsaCount] = {table(0), table(1), table(2), table(3)};
  for (uint32_t i = kIsaCount; i-- > 0;)
    if ((isa == kIsas[i] || isa == POWERINFER_ISA_AUTO) && supported(kIsas[i])) {
      isa = kIsas[i];
      return &tables[i];
    }
  return nullptr;
}

uint32_t supported_isas() {
  uint32_t mask = 0;
  for (const uint32_t isa : kIsas)
    if (supported(isa)) mask |= 1u << isa;
  return mask;
}

uint64_t row_bytes(uint32_t type, uint64_t width) {
  for (const TypeRow& row : kTypes)
    if (row.type == type) return width % row.block_weights == 0 ? width / row.block_weights * row.block_bytes : 0;
  return 0;
}

}  // namespace powerinfer

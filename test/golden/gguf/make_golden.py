# Where do the golden files of test/gguf come from?
# From gguf-py, ggml's own Python package, an implementation independent of ours:
#   pip install gguf==0.19.0 numpy==2.4.6 && python make_golden.py
import base64
import json
import os

import numpy as np
from gguf import GGMLQuantizationType as Type
from gguf import GGUFEndian, GGUFWriter, quants

here = os.path.dirname(os.path.abspath(__file__))
random = np.random.default_rng(20)


def encoded(array):
    return base64.b64encode(np.ascontiguousarray(array).tobytes()).decode()


# Random bits, but finite scales: positive, negative, subnormal and large. Offsets in bytes of the f16 of each block.
scale_offsets = {
    Type.Q8_0: [0], Type.Q4_0: [0], Type.Q4_1: [0, 2], Type.Q5_0: [0], Type.Q5_1: [0, 2],
    Type.Q2_K: [80, 82], Type.Q3_K: [108], Type.Q4_K: [0, 2], Type.Q5_K: [0, 2], Type.Q6_K: [208],
}
scales = np.array([0.0123, -0.37, 3e-7, 61.5, 0.0], dtype=np.float16)
block_count = len(scales)
blocks = {}
for type, offsets in scale_offsets.items():
    block_size, block_bytes = quants.GGML_QUANT_SIZES[type]
    data = random.integers(0, 256, (block_count, block_bytes), dtype=np.uint8)
    for place, offset in enumerate(offsets):
        for block in range(block_count):
            scale = scales[(block + 2 * place) % block_count]
            data[block, offset:offset + 2] = np.frombuffer(scale.tobytes(), np.uint8)
    values = quants.dequantize(data.reshape(1, -1), type)
    blocks[type.name] = {"bytes": encoded(data), "values": encoded(values.astype(np.float32))}

# Ties, zeros, a block of zeros, one of equal values, and ordinary weights.
weights = (random.standard_normal(2048) * 0.05).astype(np.float32)
weights[:32] = 0
weights[32:64] = -0.25
weights[64:96] = (np.arange(32) - 16) / 2
weights[96:128] = 1e-7 * np.arange(32)
quantized = {type.name: encoded(quants.quantize(weights, type)) for type in [Type.BF16, Type.Q8_0, Type.Q4_0]}
quantized["F16"] = encoded(weights.astype(np.float16))

with open(os.path.join(here, "blocks.json"), "w") as file:
    json.dump({"blocks": blocks, "weights": encoded(weights), "quantized": quantized}, file, indent=1)
    file.write("\n")


def write_model(name, **options):
    writer = GGUFWriter(os.path.join(here, name), "llama", **options)
    writer.add_uint8("golden.u8", 200)
    writer.add_int8("golden.i8", -100)
    writer.add_uint16("golden.u16", 60000)
    writer.add_int16("golden.i16", -30000)
    writer.add_uint32("golden.u32", 4000000000)
    writer.add_int32("golden.i32", -2000000000)
    writer.add_float32("golden.f32", 0.1)
    writer.add_bool("golden.bool", True)
    writer.add_string("golden.string", "Ωmega \ufeff 😀")
    writer.add_uint64("golden.u64", 2**64 - 1)
    writer.add_int64("golden.i64", -2**40)
    writer.add_float64("golden.f64", 0.1)
    writer.add_array("golden.numbers", [1, -2, 3])
    writer.add_array("golden.floats", [0.5, -1.25])
    writer.add_array("golden.strings", ["<s>", "", "\ufeff", "▁the"])
    writer.add_array("golden.bools", [True, False, True])
    writer.add_tensor("plain", np.arange(12, dtype=np.float32).reshape(3, 4))
    writer.add_tensor("half", np.arange(6, dtype=np.float16).reshape(2, 3))
    writer.add_tensor("quantized", quants.quantize(weights[64:128].reshape(2, 32), Type.Q8_0), raw_dtype=Type.Q8_0)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


write_model("little.gguf")
write_model("big_endian.gguf", endianess=GGUFEndian.BIG)
write_model("split.gguf", split_max_tensors=1)

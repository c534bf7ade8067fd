// Which neurons have weights with the signs of the hidden vector in enough places? The native half of mod.ts, which prepares `signs`.
//
// The contract is powerinfer_plugin.h, of which `abi` below is what a predictor needs, in Rust's words. `powerinfer plugin build` compiles this file for
// the machine it runs on. Nothing may panic across the boundary: sizes are checked in `open`, and the rest is arithmetic.
use std::ffi::{c_char, c_void, CStr};
use std::ptr::null;

mod abi {
    use super::*;

    pub const OK: i32 = 0;
    pub const INVALID_ARGUMENT: i32 = -1;
    pub const OPTION_NUMBER: u32 = 0;
    pub const CONFIRMS: u32 = 1;

    /// powerinfer_model_shape, as far as it is read here.
    #[repr(C)]
    pub struct Shape {
        pub struct_size: u32,
        pub block_count: u32,
        pub hidden_width: u32,
        pub ffn_width: u32,
    }
    /// powerinfer_option
    #[repr(C)]
    pub struct Setting {
        pub name: *const c_char,
        pub kind: u32,
        pub reserved: u32,
        pub number: f64,
        pub text: *const c_char,
    }
    /// powerinfer_array
    #[repr(C)]
    pub struct Array {
        pub name: *const c_char,
        pub data: *const c_void,
        pub size_bytes: f64,
    }
    /// powerinfer_plugin_context
    #[repr(C)]
    pub struct Context {
        pub struct_size: u32,
        pub row_count_max: u32,
        pub shape: *const Shape,
        pub options: *const Setting,
        pub arrays: *const Array,
        pub option_count: u32,
        pub array_count: u32,
    }
    pub type Task = unsafe extern "C" fn(context: *mut c_void, chunk: u32, thread: u32);
    /// powerinfer_select
    #[repr(C)]
    pub struct Select {
        pub struct_size: u32,
        pub block: u32,
        pub row_count: u32,
        pub hidden_width: u32,
        pub ffn_width: u32,
        pub words_per_row: u32,
        pub hidden: *const f32,
        pub active: *mut u32,
        pub host: *mut c_void,
        pub parallel_for: unsafe extern "C" fn(host: *mut c_void, chunk_count: u32, task: Task, context: *mut c_void),
        pub thread_count: u32,
        pub reserved: u32,
    }
    /// powerinfer_predictor_kernels; the CUDA functions are absent.
    #[repr(C)]
    pub struct Kernels {
        pub struct_size: u32,
        pub flags: u32,
        pub open: unsafe extern "C" fn(context: *const Context, state: *mut *mut c_void) -> i32,
        pub close: unsafe extern "C" fn(state: *mut c_void),
        pub select_cpu: unsafe extern "C" fn(state: *mut c_void, call: *const Select) -> i32,
        pub open_cuda: *const c_void,
        pub select_cuda: *const c_void,
    }
    /// powerinfer_plugin
    #[repr(C)]
    pub struct Plugin {
        pub struct_size: u32,
        pub abi_major: u32,
        pub abi_minor: u32,
        pub reserved: u32,
        pub name: *const c_char,
        pub version: *const c_char,
        pub last_error: unsafe extern "C" fn() -> *const c_char,
        pub predictor: *const Kernels,
        pub backend: *const c_void,
    }
    // Constant for the life of the process, and never written.
    unsafe impl Sync for Plugin {}
    unsafe impl Sync for Kernels {}
}

use abi::*;

struct State {
    /// u32[block_count, ffn_width, word_count], the host's until close
    signs: *const u32,
    /// u32[row_count_max, word_count]
    hidden_signs: Vec<u32>,
    word_count: usize,
    differing_max: u32,
}

/// The only thing that `open` refuses; without an error there is nobody to ask.
unsafe extern "C" fn last_error() -> *const c_char {
    c"signs is missing, or not u32[block_count, ffn_width, ceil(hidden_width / 32)]".as_ptr()
}

unsafe extern "C" fn open(context: *const Context, out: *mut *mut c_void) -> i32 {
    let (context, shape) = (&*context, &*(*context).shape);
    let word_count = shape.hidden_width.div_ceil(32) as usize;
    let wanted_bytes = 4.0 * f64::from(shape.block_count) * f64::from(shape.ffn_width) * word_count as f64;
    let arrays = (0..context.array_count as usize).map(|i| &*context.arrays.add(i));
    let options = (0..context.option_count as usize).map(|i| &*context.options.add(i));
    let Some(signs) = arrays.filter(|array| CStr::from_ptr(array.name) == c"signs").find(|array| array.size_bytes == wanted_bytes) else {
        return INVALID_ARGUMENT;
    };
    let agreement = options.filter(|option| option.kind == OPTION_NUMBER).find(|option| CStr::from_ptr(option.name) == c"agreement");
    let agreement = agreement.map_or(0.5, |option| option.number).clamp(0.0, 1.0);
    let state = State {
        signs: signs.data.cast(),
        hidden_signs: vec![0; context.row_count_max as usize * word_count],
        word_count,
        differing_max: ((1.0 - agreement) * f64::from(shape.hidden_width)) as u32,
    };
    *out = Box::into_raw(Box::new(state)).cast();
    OK
}

unsafe extern "C" fn close(state: *mut c_void) {
    drop(Box::from_raw(state.cast::<State>()));
}

struct Loop<'a> {
    state: &'a State,
    call: &'a Select,
}

/// A chunk is 32 neurons, one word of every row's set: no two chunks write the same word, and weights are read once for all rows.
unsafe extern "C" fn select_word(context: *mut c_void, chunk: u32, _thread: u32) {
    let Loop { state, call } = &*context.cast::<Loop>();
    let first = chunk * 32;
    let count = (call.ffn_width - first).min(32);
    let from = (call.block as usize * call.ffn_width as usize + first as usize) * state.word_count;
    let signs = std::slice::from_raw_parts(state.signs.add(from), count as usize * state.word_count);
    for row in 0..call.row_count as usize {
        let hidden_signs = &state.hidden_signs[row * state.word_count..(row + 1) * state.word_count];
        let mut named = 0u32;
        for (bit, neuron) in signs.chunks_exact(state.word_count).enumerate() {
            let differing: u32 = neuron.iter().zip(hidden_signs).map(|(a, b)| (a ^ b).count_ones()).sum();
            named |= u32::from(differing <= state.differing_max) << bit;
        }
        *call.active.add(row * call.words_per_row as usize + chunk as usize) = named;
    }
}

unsafe extern "C" fn select_cpu(state: *mut c_void, call: *const Select) -> i32 {
    let (state, call) = (&mut *state.cast::<State>(), &*call);
    let width = call.hidden_width as usize;
    for row in 0..call.row_count as usize {
        let values = std::slice::from_raw_parts(call.hidden.add(row * width), width);
        let words = &mut state.hidden_signs[row * state.word_count..(row + 1) * state.word_count];
        for (word, values) in words.iter_mut().zip(values.chunks(32)) {
            *word = values.iter().enumerate().fold(0, |bits, (bit, value)| bits | u32::from(*value > 0.0) << bit);
        }
    }
    let mut all = Loop { state, call };
    (call.parallel_for)(call.host, call.words_per_row, select_word, (&raw mut all).cast());
    OK
}

static KERNELS: Kernels = Kernels {
    struct_size: size_of::<Kernels>() as u32,
    flags: CONFIRMS,
    open,
    close,
    select_cpu,
    open_cuda: null(),
    select_cuda: null(),
};

static PLUGIN: Plugin = Plugin {
    struct_size: size_of::<Plugin>() as u32,
    abi_major: 1,
    abi_minor: 0,
    reserved: 0,
    name: c"plugin_name".as_ptr(),
    version: c"0.1.0".as_ptr(),
    last_error,
    predictor: &raw const KERNELS,
    backend: null(),
};

#[no_mangle]
pub extern "C" fn powerinfer_plugin_entry(_host_abi_major: u32, _host_abi_minor: u32) -> *const Plugin {
    &raw const PLUGIN
}

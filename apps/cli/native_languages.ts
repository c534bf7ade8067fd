// What can the kernel of a new plugin be written in?

export const nativeLanguages = ["none", "c", "rust"] as const
export type NativeLanguage = (typeof nativeLanguages)[number]

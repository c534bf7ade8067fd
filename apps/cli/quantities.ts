// How do numbers of bytes, tokens and shares read?

const steps = [
  { unit: "GB", size: 1e9 },
  { unit: "MB", size: 1e6 },
  { unit: "kB", size: 1e3 }
] as const

/** 12345678 → "12.3 MB". Decimal units, as bandwidths and disks have them. */
export const formatBytes = (bytes: number): string => {
  const step = steps.find(({ size }) => bytes >= size)
  return step ? `${threeDigits(bytes / step.size)} ${step.unit}` : `${Math.round(bytes)} B`
}

/** Tokens per second: "123", "12.3", "1.23". */
export const formatRate = (perSecond: number): string => threeDigits(perSecond)

/** 0.0987 → "9.9%". */
export const formatShare = (share: number): string => `${(share * 100).toFixed(1)}%`

const threeDigits = (value: number): string => value.toFixed(value >= 100 ? 0 : value >= 10 ? 1 : 2)

/**
 * A test of the runtime that a process makes before its first signature counts. node:crypto has changed its Ed25519
 * verdicts between minor versions, and a verdict must be the same everywhere (RULES G3).
 */
import { fromHex } from './bytes.ts'
import { CryptoError } from './error.ts'
import { verify } from './key.ts'

/** From the project's own cases by construction: one of each kind on which stock verifiers disagree. */
const CASES = [
  {
    desc: 'plain signature 1',
    valid: true,
    key: 'ec2ed72801b8e43d77c177386881a047cd59f3422a40501f8265163a02337190',
    message: '706c61696e207369676e617475726520312030',
    signature:
      '47c08ac959414a3ac4b6aa950a1bacd483a5916f70d7968eff5e8d5bbb336abb9dfc677e0d57dbd1bd99c76bfa6a664f56b367651fd881b0c476d2ea1d2c3701',
  },
  {
    desc: 'A + 1·T8, k kills it',
    valid: true,
    key: 'de77fae7b06906c2970510442a715942174242e430df389f2a5f54c6a07ba7f4',
    message: '41202b2031c2b754382c206b206b696c6c73206974203130',
    signature:
      '47c08ac959414a3ac4b6aa950a1bacd483a5916f70d7968eff5e8d5bbb336abb1edf9781fb525fac5afd23daee0c4059b76e354c337c89b6bdee59bb176fa50f',
  },
  {
    desc: 'A + 1·T8, cofactored only',
    valid: false,
    key: 'de77fae7b06906c2970510442a715942174242e430df389f2a5f54c6a07ba7f4',
    message: '41202b2031c2b754382c20636f666163746f726564206f6e6c792030',
    signature:
      '47c08ac959414a3ac4b6aa950a1bacd483a5916f70d7968eff5e8d5bbb336abbd5e00a202fb229b5e1682c0a133274e0a7b9f83090e5c9c9d2f544a6d12cd00c',
  },
  {
    desc: 'R + 4·T8, cofactored only',
    valid: false,
    key: '6aa411577ee8feaefa4652ef5148719190601627a2afb6c0fa1b917199e462dc',
    message: '52202b2034c2b754382c20636f666163746f726564206f6e6c792030',
    signature:
      'e87e3a8d41b883c1c20b62f6d440587c48ea088751daa83762ed530a2e17e02f92a216a92177d8d9a485e5012569663a07ac032a29bc78dfe2f13e7e3d7b1b06',
  },
  {
    desc: 'A = 1·T8, equation holds',
    valid: false,
    key: '26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05',
    message: '41203d2031c2b754382c206571756174696f6e20686f6c64732038',
    signature:
      'bf20a55bf64f277c32d778ac6ccb61cd0ad71f632842f8bc0bec57d7f2b51f2d54faa697eff3086c721811990c9b2d6efc3c5940cf7401152c9142330630080e',
  },
  {
    desc: 'A = y = p + 1',
    valid: false,
    key: 'eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f',
    message: '41203d2079203d2070202b20312030',
    signature:
      'bf20a55bf64f277c32d778ac6ccb61cd0ad71f632842f8bc0bec57d7f2b51f2d54faa697eff3086c721811990c9b2d6efc3c5940cf7401152c9142330630080e',
  },
  {
    desc: 'R = 0·T8 under a good key',
    valid: false,
    key: '53e22a9c41c1ddde2ad1dd4cd0a2646c35d2ff620ae265b3f767f87d14d12ab4',
    message: '52203d2030c2b7543820756e646572206120676f6f64206b65792030',
    signature:
      '01000000000000000000000000000000000000000000000000000000000000001d7e4c884cd5b60b11cef73e84acaf8049f9988fd0d201f8679fe55be3f4640a',
  },
  {
    desc: 'S + 1·L',
    valid: false,
    key: '53e22a9c41c1ddde2ad1dd4cd0a2646c35d2ff620ae265b3f767f87d14d12ab4',
    message: '53202b2031c2b74c2030',
    signature:
      'bf20a55bf64f277c32d778ac6ccb61cd0ad71f632842f8bc0bec57d7f2b51f2db7827acf927bc569af28bacab78558ec52c8e942995f91991bad7bc35caaa21d',
  },
  {
    desc: 'R = 4·T8, cancelled by a key of mixed order',
    valid: false,
    key: '81f472a5f439e5e945952f9e86f1b9136e7133eb4329c85ea9fdfdc43a22efc9',
    message: '52203d2034c2b754382c2063616e63656c6c65642062792061206b6579206f66206d69786564206f726465722034',
    signature:
      'ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7fabeeebd948e107a8bda1a71654b1c58bd0a6bb0fa9012dac5dacd9815031ab04',
  },
]

/**
 * Throws RUNTIME_DISAGREES if `check` gives another verdict than the one rule. About 1 ms in Node, 60 ms with noble.
 */
export function selfTest(check: typeof verify = verify): void {
  const wrong = CASES.filter(({ valid, key, message, signature }) => {
    return check(fromHex(key)!, fromHex(message)!, fromHex(signature)!) !== valid
  })
  if (wrong.length === 0) return
  const names = wrong.map(({ desc }) => desc).join('; ')
  throw new CryptoError('RUNTIME_DISAGREES', `Ed25519 verdicts differ: ${names}`)
}

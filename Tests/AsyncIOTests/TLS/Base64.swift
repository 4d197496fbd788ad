// SPDX-License-Identifier: Apache-2.0
import Foundation

/// What the text says in base 64; nil for one that is not.
func base64(_ text: String) -> [UInt8]? { Data(base64Encoded: text).map { [UInt8]($0) } }

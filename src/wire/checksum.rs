//! The Internet checksum (RFC 1071): one's complement sum of 16-bit words.

use std::net::IpAddr;

/// A sum under way. Add data of even length only, except for the last piece.
#[derive(Debug, Clone, Copy, Default)]
pub struct Sum(u32);

impl Sum {
    /// The pseudo-header of either family (RFC 793 section 3.1, RFC 8200 section 8.1): their fields differ in width
    /// alone, which a sum does not notice. `length` is that of what follows the IP header.
    pub fn pseudo_header(source: IpAddr, destination: IpAddr, protocol: u8, length: u16) -> Self {
        Sum::default().address(source).address(destination).bytes(&[0, protocol]).bytes(&length.to_be_bytes())
    }

    fn address(self, address: IpAddr) -> Self {
        match address {
            IpAddr::V4(address) => self.bytes(&address.octets()),
            IpAddr::V6(address) => self.bytes(&address.octets()),
        }
    }

    /// Adds bytes; an odd last byte counts as if a zero followed it.
    pub fn bytes(self, data: &[u8]) -> Self {
        let mut sum = self.0;
        for pair in data.chunks(2) {
            let word = match *pair {
                [high, low] => u16::from_be_bytes([high, low]),
                [high] => u16::from_be_bytes([high, 0]),
                _ => 0,
            };
            sum += u32::from(word);
            // Folding at once keeps the sum within 17 bits, whatever the length.
            sum = (sum & 0xffff) + (sum >> 16);
        }
        Sum(sum)
    }

    /// What goes into a checksum field that was zero while summing.
    pub fn finish(self) -> u16 {
        !(self.folded())
    }

    /// Whether data that contained its checksum adds up. Summing to all ones rather than comparing makes the
    /// two forms of zero equal.
    pub fn is_valid(self) -> bool {
        self.folded() == 0xffff
    }

    fn folded(self) -> u16 {
        let once = (self.0 & 0xffff) + (self.0 >> 16);
        once as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_example_of_rfc_1071_section_3() {
        let sum = Sum::default().bytes(&[0x00, 0x01, 0xf2, 0x03, 0xf4, 0xf5, 0xf6, 0xf7]);
        assert_eq!(sum.finish(), !0xddf2);
    }

    #[test]
    fn both_zeros_are_one_value() {
        // 0xffff in the field of data that sums to zero: as valid as 0x0000 would be.
        assert!(Sum::default().bytes(&[0xff, 0xff]).is_valid());
        assert!(Sum::default().bytes(&[0xff, 0xfe, 0x00, 0x01]).is_valid());
    }
}

//! Frames of a capture.

/// Bytes before the first frame of a pcap file, and before each frame.
const FILE_HEADER: usize = 24;
const FRAME_HEADER: usize = 16;

/// The frames of a little-endian pcap file.
pub fn frames(pcap: &[u8]) -> Vec<&[u8]> {
    let mut rest = &pcap[FILE_HEADER..];
    let mut frames = Vec::new();
    while rest.len() >= FRAME_HEADER {
        let len = u32::from_le_bytes(rest[8..12].try_into().unwrap()) as usize;
        let (frame, behind) = rest[FRAME_HEADER..].split_at(len);
        frames.push(frame);
        rest = behind;
    }
    frames
}

/// The IP packet in a frame, if it is an advert.
pub fn advert(frame: &[u8]) -> Option<&[u8]> {
    let is_advert = match frame[12..14] {
        [0x08, 0x00] => frame[14 + 9] == 112,
        [0x86, 0xdd] => frame[14 + 6] == 112,
        _ => false,
    };
    is_advert.then(|| &frame[14..])
}

/// The first advert of a capture, from its IP header on.
pub fn first(pcap: &[u8]) -> Vec<u8> {
    frames(pcap).into_iter().find_map(advert).unwrap().to_vec()
}

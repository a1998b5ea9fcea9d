/// How the checksum of an advert is made.
///
/// Version 2 knows only [`ChecksumForm::Message`] and IPv6 only [`ChecksumForm::PseudoHeader`]; for version 3 over
/// IPv4 the field disagrees.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ChecksumForm {
    /// With a pseudo-header of source and destination, as keepalived and FRR send it.
    PseudoHeader,
    /// With a pseudo-header that names 224.0.0.18 although the packet goes to a single peer (keepalived up to 1.3.6).
    GroupPseudoHeader,
    /// Over the message alone (RFC 9568 section 5.2.8, RFC 3768 section 5.3.8).
    Message,
}

impl ChecksumForm {
    /// The word of configuration and status.
    pub const fn word(self) -> &'static str {
        match self {
            ChecksumForm::PseudoHeader => "pseudo-header",
            ChecksumForm::GroupPseudoHeader => "group-pseudo-header",
            ChecksumForm::Message => "message",
        }
    }
}

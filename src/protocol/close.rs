//! The close codes that Coscribe sends, each with its meaning. Stock clients ignore codes and reconnect after every
//! close; 44xx tells clients that look that trying again will not help (a convention shared with yhub).

/// Why a socket is closed, as a WebSocket close code with a short reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum CloseCode {
    /// 1000: the client closed, we answer.
    Normal,
    /// 1002: frames that break the WebSocket protocol, such as unmasked ones.
    Protocol,
    /// 1003: a text frame; only binary frames have a meaning here.
    TextFrame,
    /// 1008: too many refused messages, or another rule of the server was broken.
    Policy,
    /// 1009: a frame or message above the size limit.
    TooBig,
    /// 1011: a fault of the server; what was not acknowledged should be sent again.
    Internal,
    /// 1012: the server restarts.
    Restart,
    /// 1013: try again later: too many sockets, or the client did not read for too long.
    TryLater,
    /// 4400: bytes that are no message of the protocol.
    Malformed,
    /// 4404: the document was deleted or is in the trash.
    Gone,
    /// 4409: the document was deleted and created again; the client's copy belongs to the old one.
    OtherEpoch,
    /// 4423: the stored document is damaged and under quarantine.
    Quarantined,
}

impl CloseCode {
    pub const ALL: [Self; 12] = [
        Self::Normal,
        Self::Protocol,
        Self::TextFrame,
        Self::Policy,
        Self::TooBig,
        Self::Internal,
        Self::Restart,
        Self::TryLater,
        Self::Malformed,
        Self::Gone,
        Self::OtherEpoch,
        Self::Quarantined,
    ];

    pub fn code(self) -> u16 {
        match self {
            Self::Normal => 1000,
            Self::Protocol => 1002,
            Self::TextFrame => 1003,
            Self::Policy => 1008,
            Self::TooBig => 1009,
            Self::Internal => 1011,
            Self::Restart => 1012,
            Self::TryLater => 1013,
            Self::Malformed => 4400,
            Self::Gone => 4404,
            Self::OtherEpoch => 4409,
            Self::Quarantined => 4423,
        }
    }
}

/// A close with its reason: at most 123 bytes, as a control frame holds no more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Close {
    pub code: CloseCode,
    pub reason: String,
}

impl Close {
    pub fn new(code: CloseCode, reason: impl Into<String>) -> Self {
        Self {
            code,
            reason: reason.into(),
        }
    }
}

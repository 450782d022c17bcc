/**
 * Every bound of the protocol in one place, each with its unit in its name. PROTOCOL.md repeats these
 * figures; test/proto/protocol-document.test.ts keeps the two equal.
 */

const KIB = 1024;
const MIB = 1024 * KIB;
const GIB = 1024 * MIB;

// The channel

export const PROTOCOL_VERSION = 2;
export const DEFAULT_PORT = 7373;
/** Noise spec section 3: a message is at most 65,535 bytes, its tag included. */
export const NOISE_MESSAGE_MAX_BYTES = 65_535;
export const NOISE_TAG_BYTES = 16;
export const RECORD_MAX_BYTES = NOISE_MESSAGE_MAX_BYTES - NOISE_TAG_BYTES;
/** Type byte and 64-bit offset in front of the bytes of a DATA record. */
export const DATA_HEADER_BYTES = 9;
export const DATA_MAX_BYTES = RECORD_MAX_BYTES - DATA_HEADER_BYTES;
export const PREAMBLE_BYTES = 48;
export const SALT_BYTES = 16;
export const SESSION_ID_BYTES = 16;
/** WebSocket pings and pongs (RFC 6455 section 5.5.2) that a peer may send us in any ten seconds. */
export const WEBSOCKET_PINGS_MAX_PER_10_S = 20;

// The pairing code

export const CODE_WORDS = 6;
export const SCRYPT_LOG2_N = 15;
export const SCRYPT_R = 8;
export const SCRYPT_P = 1;
/** Messages 3 with a key that decrypts and a wrong code, after which the code is dead. */
export const CODE_WRONG_TRIES_MAX = 5;
/** Before a code that takes the place of a burnt one; doubled from one to the next. */
export const CODE_PAUSE_MIN_MS = 1_000;
export const CODE_PAUSE_MAX_MS = 60_000;
export const CODE_TTL_MS = 10 * 60_000;
export const CODE_TTL_MIN_MS = 10_000;
export const CODE_TTL_MAX_MS = 7 * 24 * 3_600_000;

// Time

export const CONNECT_TIMEOUT_MS = 15_000;
export const HEADERS_TIMEOUT_MS = 5_000;
export const HANDSHAKE_TIMEOUT_MS = 10_000;
export const PING_INTERVAL_MS = 5_000;
/** Silence on the control lane after which its connection is cut, for a new one to be tried. */
export const SILENCE_MS = 15_000;
/** The same on a blob lane, where answers stand in line behind blobs. */
export const LANE_SILENCE_MS = 60_000;
/** How long a lane may be without a connection until the session is given up. */
export const GIVE_UP_MS = 5 * 60_000;
/** Between two tries to get a connection back: doubled from one to the next. */
export const RECONNECT_PAUSE_MIN_MS = 250;
export const RECONNECT_PAUSE_MAX_MS = 5_000;
/** How long a dialler comes back to a listener that breaks its connections off before message 3, unless it is told how long. */
export const CROWDED_OUT_MS = 10_000;
export const CROWDED_OUT_PAUSE_MS = 25;
/** How long a sender waits for somebody to decide about a plan, and a receiver for that sender to say so. */
export const DECISION_WAIT_MS = 10 * 60_000;
export const DECISION_MAX_MS = 15 * 60_000;
export const LINGER_MS = 10_000;
/** The same while the sender cannot be heard. */
export const LINGER_UNHEARD_MS = 60_000;
export const CLOSE_TIMEOUT_MS = 5_000;
/** Before the first time that failed images are tried again; each next pause is longer by the factor. */
export const RETRY_PAUSE_MIN_MS = 2_000;
export const RETRY_PAUSE_FACTOR = 3;
export const RETRY_PAUSE_MAX_MS = 60_000;
export const RETRIES = 3;
export const RETRIES_MAX = 20;
export const MAX_SESSION_MS = 24 * 3_600_000;
/** More than the longest session that can be asked for. */
export const RUN_MAX_MS = 30 * 24 * 3_600_000;

// Strangers at the listener

export const UNAUTHENTICATED_MAX_SOCKETS = 32;
export const UNAUTHENTICATED_PER_ADDRESS_MAX_SOCKETS = 4;
/** How long one of them may stand still before another takes its place that has no better claim to it. */
export const UNAUTHENTICATED_GRACE_MS = 250;
/** Answers to message 1 in any tenth of a second, so 50 a second: each costs public-key work. Who comes too soon waits. */
export const ANSWERS_MAX_PER_100_MS = 5;
/** Those to one address in any second; of IPv6, to one /64. */
export const ANSWERS_PER_ADDRESS_MAX_PER_S = 5;
export const PENALTY_MIN_MS = 15_000;
export const PENALTY_MAX_MS = 600_000;
/** Addresses remembered for penalties; the oldest is forgotten first. */
export const PENALTY_ADDRESSES_MAX = 4096;
export const HTTP_HEADERS_MAX_BYTES = 8 * KIB;

// Lanes

/** Bytes that may be on their way in one direction of a lane before the reader has taken them. */
export const LANE_WINDOW_BYTES = 8 * MIB;
export const CONTROL_WINDOW_BYTES = 4 * MIB;
/** Bytes that a writer keeps until the other side has taken them, whatever its window: they may have to go again. */
export const SENT_BYTES_MAX = 8 * MIB;
/** A reader tells what it took when this share of the window has been taken. */
export const CREDIT_SHARE = 16;
/** Bytes that wait in this process for the kernel's socket buffer before a writer is held back. */
export const SOCKET_BACKLOG_MAX_BYTES = 1 * MIB;
export const LANES_MAX = 1;
/** Images of one session that may have begun to travel and have no result yet. */
export const JOBS_MAX = 16;
export const JOBS = 2;

// Messages

export const MESSAGE_MAX_BYTES = 256 * KIB;
/** A list longer than this is cut into several messages. */
export const MESSAGE_LIST_BYTES = 96 * KIB;
export const OFFER_IMAGES_MAX = 10_000;
/** Layers and names of all items of an offer together. */
export const OFFER_PARTS_MAX = 250_000;
export const REFERENCE_MAX_BYTES = 384;
/** Of a message that only takes up room on the link. */
export const PROBE_MAX_CHARACTERS = 64 * KIB;
export const TEXT_MAX_CHARACTERS = 1_000;
export const NAMES_PER_IMAGE_MAX = 100;
/** Layers of one image on the containerd store; a classic engine takes fewer. */
export const LAYERS_MAX = 500;
/** moby layer/layer_store.go: maxLayerDepth. */
export const LAYERS_CLASSIC_MAX = 125;

// Entries

export const METADATA_MAX_BYTES = 4 * MIB;
/** All manifests, indexes and configs of one image together. */
export const IMAGE_METADATA_MAX_BYTES = 32 * MIB;
/** Layers that an offer names one by one, of all platforms of an image. */
export const LAYERS_OFFERED_MAX = 1_000;
/** Small layers of one image that may wait in memory for a load that takes them along. */
export const SMALL_LAYERS_MAX_BYTES = 8 * MIB;
export const BLOBS_PER_IMAGE_MAX = 4_096;
export const LAYER_MAX_BYTES = 1024 * GIB;
/** One image may bring this many times what its offer declared, plus a fixed part: tar headers are not in docker's size. */
export const IMAGE_BYTES_FACTOR_MAX = 4;
export const IMAGE_BYTES_ALLOWANCE = 1 * GIB;
export const SEGMENT_MAX_BYTES = 1 * MIB;
/** zstd frames that need a larger window are refused: RFC 8878 section 3.1.1.1.2 recommends to support 8 MiB. */
export const ZSTD_WINDOW_LOG_MAX = 23;
export const ZSTD_LEVEL_MIN = 1;
export const ZSTD_LEVEL_MAX = 19;

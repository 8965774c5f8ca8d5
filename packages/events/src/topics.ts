/** Topic of behaviour events, keyed by user id; made with `message.timestamp.type=LogAppendTime`. */
export const EVENTS_TOPIC = "events";

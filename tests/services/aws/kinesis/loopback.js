// Loaded before kinesis-local, which has no setting for its address and would listen on every interface: whatever listens in
// this process listens on 127.0.0.1. A form of listen() that is not known here is refused, so that nothing slips through.
'use strict';
const { Server } = require('node:net');

const { listen } = Server.prototype;
Server.prototype.listen = function (where, ...rest) {
  const options = typeof where === 'number' ? { port: where } : where;
  if (typeof options?.port !== 'number') throw new Error('loopback.js: listen() without a port');
  const callback = rest.find((argument) => typeof argument === 'function');
  return listen.call(this, { ...options, host: '127.0.0.1' }, callback);
};

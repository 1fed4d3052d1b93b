// `node -r loopback.js SERVER`: whatever it listens on, it does on 127.0.0.1 only.
const net = require('net');

const listen = net.Server.prototype.listen;
net.Server.prototype.listen = function (...given) {
  const [first] = given;
  if (typeof first === 'number') {
    given.splice(1, typeof given[1] === 'string' ? 1 : 0, '127.0.0.1');
  } else if (first && typeof first === 'object' && 'port' in first) {
    given[0] = { ...first, host: '127.0.0.1' };
  }
  return listen.apply(this, given);
};

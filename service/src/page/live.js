// Fetches what changes every few seconds and writes only the differences into the page, so that focus, scrolling and selected text
// stay. Rests while nobody looks.
'use strict';

(() => {
  const EVERY = 3000;
  const WITHIN = 5000;
  const live = document.getElementById('live');
  const connection = document.getElementById('connection');
  let timer;
  let lost;

  // What a node is known by among its neighbours.
  const key = (node) => node.nodeType === Node.ELEMENT_NODE && node.id;

  function same(old, fresh) {
    return old.nodeName === fresh.nodeName && (key(old) || '') === (key(fresh) || '');
  }

  function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
      if (old.nodeValue !== fresh.nodeValue) old.nodeValue = fresh.nodeValue;
      return;
    }
    for (const { name } of [...old.attributes]) {
      if (!fresh.hasAttribute(name)) old.removeAttribute(name);
    }
    for (const { name, value } of fresh.attributes) {
      if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    children(old, fresh);
  }

  function children(old, fresh) {
    let at = old.firstChild;
    for (const next of [...fresh.childNodes]) {
      if (at && !same(at, next) && key(next)) {
        const known = [...old.children].find((child) => child.id === next.id);
        if (known) {
          old.insertBefore(known, at);
          at = known;
        }
      }
      if (at && same(at, next)) {
        morph(at, next);
        at = at.nextSibling;
      } else {
        old.insertBefore(next, at);
      }
    }
    while (at) {
      const gone = at;
      at = at.nextSibling;
      gone.remove();
    }
  }

  function tell(text, state) {
    if (connection.textContent !== text) connection.textContent = text;
    connection.dataset.state = state;
  }

  async function look() {
    clearTimeout(timer);
    if (document.hidden) return;
    const address = new URL(location.href);
    address.hash = '';
    address.searchParams.set('fragment', '1');
    try {
      const answer = await fetch(address, { signal: AbortSignal.timeout(WITHIN), cache: 'no-store' });
      // a target that is not there any more is told by the page itself
      if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
      const fresh = document.createElement('div');
      fresh.innerHTML = await answer.text();
      const focused = document.activeElement;
      children(live, fresh);
      // what is moved loses it
      if (focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
      lost = undefined;
      tell('Live', 'live');
    } catch {
      lost ??= new Date();
      tell(`The scaler cannot be reached since ${lost.toLocaleTimeString()}; what is shown is from before`, 'lost');
    }
    timer = setTimeout(look, EVERY);
  }

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) clearTimeout(timer);
    else look();
  });
  tell('Live', 'live');
  timer = setTimeout(look, EVERY);
})();

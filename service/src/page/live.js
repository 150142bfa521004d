// Fetches what changes every few seconds and writes only the differences into the page, so that focus, scrolling and selected text
// stay. Rests while nobody looks.
'use strict';

(() => {
  const WITHIN = 5000;
  const every = Number(document.getElementById('main').dataset.every);
  const parts = ['lead', 'live'].map((id) => document.getElementById(id));
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
      // what a person has opened stays open
      if (!fresh.hasAttribute(name) && name !== 'open') old.removeAttribute(name);
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

  function show(text, state) {
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
      // the page itself shows that a target is gone
      if (!answer.ok && answer.status !== 404) throw new Error(String(answer.status));
      const fresh = document.createElement('div');
      fresh.innerHTML = await answer.text();
      const focused = document.activeElement;
      for (const part of parts) children(part, fresh.querySelector(`#${part.id}`));
      // what is moved loses it
      if (focused.isConnected && document.activeElement !== focused) focused.focus({ preventScroll: true });
      lost = undefined;
      show('Live', 'live');
    } catch {
      lost ??= new Date();
      show(`The scaler cannot be reached since ${lost.toLocaleTimeString()}; what is shown is from before`, 'lost');
    }
    // another look may have begun meanwhile
    clearTimeout(timer);
    timer = setTimeout(look, every);
  }

  // A posted form changes what is shown, and the page stays.
  document.addEventListener('submit', async (event) => {
    if (event.target.method !== 'post') return;
    event.preventDefault();
    const body = new URLSearchParams(new FormData(event.target, event.submitter));
    try {
      await fetch(event.target.action, { method: 'POST', body, redirect: 'manual' });
    } finally {
      look();
    }
  });

  document.addEventListener('visibilitychange', () => {
    if (document.hidden) clearTimeout(timer);
    else look();
  });
  show('Live', 'live');
  timer = setTimeout(look, every);
})();
